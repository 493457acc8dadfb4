#include "bench/load/scenario.h"

#include <cmath>
#include <optional>
#include <stdexcept>

namespace berth::bench {

namespace {

std::vector<std::string> split(const std::string& name) {
  std::vector<std::string> words(1);
  for (const char c : name) {
    if (c == '-') {
      words.emplace_back();
    } else {
      words.back().push_back(c);
    }
  }
  return words;
}

// "250", "1K", "1.5M"; no other text.
std::optional<double> number(const std::string& word) {
  std::size_t used = 0;
  double v = 0;
  try {
    v = std::stod(word, &used);
  } catch (const std::exception&) {
    return std::nullopt;
  }
  const std::string unit = word.substr(used);
  if (unit == "K") v *= 1e3;
  if (unit == "M") v *= 1e6;
  if (!unit.empty() && unit != "K" && unit != "M") return std::nullopt;
  if (!(v > 0) || v > 1e7) return std::nullopt;
  return v;
}

[[noreturn]] void unknown(const std::string& name) {
  throw std::runtime_error("no scenario " + name + "; berth bench list prints them");
}

// pattern-PUBLISHERS-SUBSCRIBERS-TOPICS-MESSAGES, these as they arrive, in all, a second.
Scenario traffic(const std::string& name, Pattern pattern, const std::vector<std::string>& words) {
  double n[4];
  for (std::size_t i = 0; i < 4; ++i) {
    const auto v = words.size() == 5 ? number(words[i + 1]) : std::nullopt;
    if (!v) unknown(name);
    n[i] = *v;
  }
  Scenario s;
  s.pattern = pattern;
  s.publishers = static_cast<std::uint32_t>(n[0]);
  s.subscribers = static_cast<std::uint32_t>(n[1]);
  s.topics = pattern == Pattern::sharedsub ? s.publishers : static_cast<std::uint32_t>(n[2]);
  s.rate = n[3] / (pattern == Pattern::fanout ? n[1] : 1);
  if (pattern == Pattern::p2p && (n[0] != n[1] || n[1] != n[2]))
    throw std::runtime_error(name + ": p2p has as many publishers as subscribers and topics");
  return s;
}

Scenario connections(Kind kind, double count, double rate) {
  Scenario s;
  s.kind = kind;
  s.subscribers = static_cast<std::uint32_t>(count);
  s.rate = rate;
  return s;
}

Scenario p2p(double count, Trouble trouble) {
  const auto n = static_cast<std::uint32_t>(count);
  Scenario s;
  s.publishers = s.subscribers = s.topics = n;
  s.rate = count;
  s.trouble = trouble;
  return s;
}

std::optional<Scenario> ours(const std::vector<std::string>& words) {
  const std::string& first = words[0];
  const auto at = [&words](std::size_t i, double standard) {
    const auto v = i < words.size() ? number(words[i]) : standard;
    if (!v) throw std::runtime_error(words[i] + " is no number above 0");
    return *v;
  };
  Scenario s;
  if (first == "p2p" && words.size() == 3 && (words[2] == "kill" || words[2] == "rolling")) {
    s = p2p(at(1, 0), words[2] == "kill" ? Trouble::kill_engine : Trouble::rolling);
  } else if (first == "storm" && words.size() <= 2) {
    s = connections(Kind::storm, at(1, 10'000), 0);
    s.trouble = Trouble::kill_all;
    s.durable = true;
    s.seconds = 60;
  } else if (first == "reports" && words.size() <= 3) {
    s = p2p(at(1, 100), Trouble::none);
    s.subscribers = 0;
    s.rate = at(2, 1000);
    s.reports = true;
    s.seconds = 60;
  } else if (first == "durable" && words.size() <= 2) {
    s = p2p(at(1, 100), Trouble::kill_all);
    s.rate = 1000;
    s.durable = s.offline = true;
    s.seconds = 60;
  } else if (first == "churn" && words.size() <= 3) {
    s = connections(Kind::churn, at(1, 1000), at(2, 500));
    s.seconds = 60;
  } else if ((first == "idle" || first == "sessions") && words.size() <= 2) {
    s = connections(Kind::connections, at(1, 10'000), 0);
    s.durable = s.offline = first == "sessions";
    s.seconds = 10;
  } else {
    return std::nullopt;
  }
  return s;
}

bool take_suffix(std::vector<std::string>& words, const char* suffix) {
  if (words.size() < 2 || words.back() != suffix) return false;
  words.pop_back();
  return true;
}

}  // namespace

Scenario scenario_of(const std::string& name) {
  std::vector<std::string> words = split(name);
  bool durable = false, tls = false;
  for (bool more = true; more;) {
    const bool d = take_suffix(words, "durable"), t = take_suffix(words, "tls");
    durable = durable || d;
    tls = tls || t;
    more = d || t;
  }
  std::optional<Scenario> s = ours(words);
  if (!s && words[0] == "conn" && words.size() == 4 && words[1] == "tcp" && number(words[2]) &&
      number(words[3])) {
    s = connections(Kind::connections, *number(words[2]), *number(words[3]));
    s->subscribes = false;
  }
  if (!s && words[0] == "p2p") s = traffic(name, Pattern::p2p, words);
  if (!s && words[0] == "fanin") s = traffic(name, Pattern::fanin, words);
  if (!s && words[0] == "fanout") s = traffic(name, Pattern::fanout, words);
  if (!s && words[0] == "sharedsub") s = traffic(name, Pattern::sharedsub, words);
  if (!s) unknown(name);
  s->name = name;
  s->durable = s->durable || durable;
  s->tls = tls;
  return *s;
}

std::vector<Scenario> named_scenarios() {
  static const std::pair<const char*, const char*> kNamed[] = {
      {"conn-tcp-10K-100", "10,000 connections, 100 connects a second, then held"},
      {"fanout-1-1K-1-1K", "1 publisher, 1 message a second to each of 1,000 subscribers"},
      {"p2p-1K-1K-1K-1K", "1,000 pairs, 1,000 messages a second in all"},
      {"sharedsub-1K-5-1K-1K", "1,000 publishers, 1,000 messages a second, a group of 5"},
      {"p2p-1K-kill", "1,000 pairs, 1,000 messages a second; kill -9 of the engine every 10 s"},
      {"p2p-1K-rolling", "the same; the engine is replaced every 10 s as in a deploy"},
      {"storm-10K", "10,000 persistent sessions, all connections cut at once: when they are back"},
      {"durable",
       "1,000 messages a second into 100 offline sessions; kill -9 of all every 10 s, "
       "then every message is counted"},
      {"churn", "1,000 connections, 500 of them a second closed and opened again"},
      {"idle", "10,000 connections with a subscription each: memory"},
      {"reports", "100 devices report 1,000 plates a second, over MQTT or Park"},
      {"sessions", "10,000 offline sessions with a subscription each: memory"},
  };
  std::vector<Scenario> all;
  for (const auto& [name, what] : kNamed) {
    all.push_back(scenario_of(name));
    all.back().what = what;
  }
  return all;
}

std::string topic_of(const Scenario& s, const std::string& root, std::uint32_t publisher) {
  if (s.reports) return "v1/_/dev" + std::to_string(publisher) + "/event/plate";
  if (s.pattern == Pattern::p2p) return root + "/" + std::to_string(publisher);
  const std::string topic = std::to_string(publisher % s.topics);
  if (s.pattern != Pattern::fanin) return root + "/" + topic;
  return root + "/" + std::to_string(publisher % s.subscribers) + "/" + topic;
}

std::string filter_of(const Scenario& s, const std::string& root, std::uint32_t subscriber) {
  const std::string own = root + "/" + std::to_string(subscriber);
  if (s.quiet() || s.pattern == Pattern::p2p) return own;
  if (s.pattern == Pattern::fanin) return own + "/#";
  if (s.pattern == Pattern::sharedsub) return "$share/bench/" + root + "/#";
  return s.topics == 1 ? root + "/0" : root + "/#";
}

bool is_for(const Scenario& s, std::uint32_t publisher, std::uint32_t subscriber) {
  if (s.pattern == Pattern::p2p) return publisher == subscriber;
  if (s.pattern == Pattern::fanin) return publisher % s.subscribers == subscriber;
  return s.pattern == Pattern::fanout || subscriber == 0;
}

}  // namespace berth::bench
