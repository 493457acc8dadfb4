#include "gateway/uplink/uplink_service.h"

#include <algorithm>
#include <boost/asio/post.hpp>
#include <boost/json.hpp>
#include <cstdio>
#include <utility>

#include "base/charset.h"
#include "base/log.h"
#include "base/random_id.h"
#include "gateway/uplink/definition.h"
#include "gateway/uplink/sinks.h"
#include "gateway/uplink/uplink_topics.h"
#include "protocol/mqtt/properties.h"

namespace berth::gateway::uplink {

namespace asio = boost::asio;
namespace json = boost::json;
using session::UplinkState;

namespace {

constexpr std::size_t kDeadListed = 500;

std::string random_suffix() {
  char text[9];
  std::snprintf(text, sizeof text, "%08llx",
                static_cast<unsigned long long>(base::random_id() & 0xffffffff));
  return text;
}

std::string text_in(const json::object& o, const char* name) {
  const json::value* const v = o.if_contains(name);
  return v != nullptr && v->is_string() ? std::string(v->get_string()) : std::string();
}
std::int64_t number_in(const json::object& o, const char* name) {
  const json::value* const v = o.if_contains(name);
  return v != nullptr && v->is_int64() ? v->get_int64() : 0;
}

// What is none becomes '?': a text that was cut, or a platform's own words.
std::string as_utf8(const std::string& text) {
  std::string out;
  for (std::size_t i = 0; i < text.size();) {
    const auto c = static_cast<unsigned char>(text[i]);
    const std::size_t n = c < 0x80 ? 1 : c >= 0xf0 ? 4 : c >= 0xe0 ? 3 : c >= 0xc2 ? 2 : 0;
    const std::string one = text.substr(i, n);
    if (n != 0 && one.size() == n && base::is_utf8(one)) {
      out += one;
      i += n;
    } else {
      out.push_back('?');
      ++i;
    }
  }
  return out;
}

std::uint64_t all_refused(const UplinkState& s) {
  std::uint64_t n = s.expired + s.dead_lost;
  for (const std::uint64_t r : s.refused) n += r;
  return n;
}

}  // namespace

UplinkService::UplinkService(Parts parts) : parts_(std::move(parts)), sinks_(parts_.io) {}

UplinkService::~UplinkService() {
  parts_.broker.uplinks().detach();
}

void UplinkService::use(std::vector<UplinkConfig> of_file) {
  // The store has told what was defined, before anything is served.
  of_file_ = std::move(of_file);
  apply();
}

bool UplinkService::in_file(const std::string& name) const {
  return std::any_of(of_file_.begin(), of_file_.end(),
                     [&name](const UplinkConfig& c) { return c.name == name; });
}

// The file goes first: it is what the operator sees.
std::vector<UplinkConfig> UplinkService::with_definitions() const {
  std::vector<UplinkConfig> all = of_file_;
  for (const auto& [name, text] : parts_.broker.uplinks().definitions()) {
    std::string why;
    if (in_file(name)) {
      why = "the file of uplinks has one of this name";
    } else if (all.size() >= session::kUplinksMax) {
      why = "there are too many";
    } else {
      try {
        all.push_back(read_definition(name, text, parts_.files_dir));
      } catch (const std::runtime_error& e) {
        why = e.what();
      }
    }
    if (!why.empty())
      BERTH_LOG(err, "an uplink that was defined over REST is not in force uplink={} error=\"{}\"",
                base::LogName{name}, why);
  }
  if (fit_into(all, parts_.max_bytes))
    BERTH_LOG(warn, "queue_bytes of uplinks are cut to uplinks.max_bytes together max_bytes={}",
              parts_.max_bytes);
  return all;
}

void UplinkService::apply() {
  auto before = std::exchange(entries_, {});
  std::vector<session::UplinkPlan> plans;
  for (const UplinkConfig& c : with_definitions()) {
    const auto same = std::find_if(before.begin(), before.end(),
                                   [&c](const auto& e) { return e && e->config == c; });
    auto e = same == before.end() ? std::make_unique<Entry>() : std::move(*same);
    if (e->revision == 0) {
      e->config = c;
      e->revision = ++revisions_;
    }
    e->index = entries_.size();
    plans.push_back(plan_of(c));
    plans.back().revision = e->revision;
    entries_.push_back(std::move(e));
  }
  before.clear();  // their sinks end before others have their names
  parts_.broker.uplinks().plan(std::move(plans), this);
  for (const auto& e : entries_) {
    if (!e->sink) e->sink = begin_sink(*e);
  }
  BERTH_LOG(info, "uplinks partition={} in_force={}", parts_.partition, entries_.size());
  end_turn();
}

std::unique_ptr<SinkThread::Lane> UplinkService::begin_sink(Entry& e) {
  session::Uplinks& uplinks = parts_.broker.uplinks();
  // Two uplinks to one broker are two clients there.
  const Station station{parts_.partition,
                        "p" + std::to_string(parts_.partition) + "-" + random_suffix()};
  return sinks_.start(
      [config = e.config, at = station](asio::io_context& io, const Sink::Events& events) {
        return make_sink(io, config, at, events);
      },
      {.ready =
           [this, &e, &uplinks](bool yes) {
             uplinks.use(e.index, yes);
             end_turn();
           },
       .done =
           [this, &e, &uplinks](std::uint32_t generation, std::uint64_t seq) {
             uplinks.done(e.index, generation, seq);
             end_turn();
           },
       .refused =
           [this, &e, &uplinks](const SinkThread::Refusal& r) {
             uplinks.refused(e.index, r.generation,
                             {.seq = r.seq, .why = r.why, .topic = r.inside, .bytes = r.bytes},
                             parts_.now());
             end_turn();
           },
       .command = [this, &e](Downward d) { command(e, std::move(d)); },
       .rested =
           [this, &e] {
             // What was told to be done is staged before anybody sees that all is.
             parts_.broker.uplinks().finish();
             e.rested = true;
             end_turn();
           }},
      {parts_.tracer, e.config.name, name_of(e.config.kind)});
}

void UplinkService::rest() {
  for (const auto& e : entries_) {
    if (e->sink) e->sink->rest();
  }
}

bool UplinkService::rested() const {
  return std::all_of(entries_.begin(), entries_.end(),
                     [](const auto& e) { return !e->sink || e->rested; });
}

// As if a service of the tenant had published the request, at this partition.
void UplinkService::command(const Entry& e, Downward d) {
  session::Broker& b = parts_.broker;
  session::PlatformPorts* const platform = b.context().platform;
  const std::string inside = command_topic(e.config, d.topic);
  if (inside.empty() || platform == nullptr) {
    BERTH_LOG(warn, "a command of a platform is not taken uplink={} topic=\"{}\"", e.config.name,
              d.topic);
    return d.stored();
  }
  const session::Scope service(
      {std::string(parts_of(inside).tenant), session::Role::service, "uplink/" + e.config.name}, {},
      e.config.sites);
  std::string properties;
  if (!d.correlation.empty())
    protocol::mqtt::put_property_string(properties, protocol::mqtt::Property::correlation_data,
                                        d.correlation);
  session::MessageView m{.topic = inside, .payload = d.payload, .forwarded = properties, .qos = 1};
  const base::Instant now = parts_.now();
  if (d.expires_in_s != 0)
    m.expires_at = b.messages_at(now).plus_ms(std::int64_t{d.expires_in_s} * 1000);
  platform->request(service, m, now);
  when_durable(std::move(d.stored));
}

// After the commit of all that was written before.
void UplinkService::when_durable(std::function<void()> f) {
  session::Deferred stored;
  stored.kind = session::Deferred::Kind::call;
  stored.call = [f = std::move(f)](base::Instant) { f(); };
  parts_.broker.core().commits.submit(std::move(stored), true, parts_.now());
  end_turn();
}

// Once for many that are told in one call.
void UplinkService::end_turn() {
  if (std::exchange(turn_posted_, true)) return;
  asio::post(parts_.io, [this, alive = std::weak_ptr<bool>(alive_)] {
    if (alive.expired()) return;
    turn_posted_ = false;
    parts_.broker.uplinks().finish();
    parts_.turn_end();
  });
}

// The `berth-id`.
std::string UplinkService::id_of(std::uint64_t session, std::uint64_t seq) const {
  return std::to_string(parts_.partition) + "-" + std::to_string(session) + "-" +
         std::to_string(seq);
}

// What has no topic at the platform can't go.
bool UplinkService::offer(const session::UplinkOffer& o, const session::MessageView& m) {
  Entry& e = *entries_.at(o.uplink);
  std::string topic = upstream_topic(e.config, m.topic);
  if (topic.empty()) {
    BERTH_LOG(err, "a message can't have a topic at its platform uplink={} topic=\"{}\"",
              e.config.name, m.topic);
    return false;
  }
  Upward up;
  up.generation = o.generation;
  up.seq = o.seq;
  up.inside = m.topic;
  up.topic = std::move(topic);
  up.payload = m.payload;
  up.properties = m.forwarded;
  up.id = id_of(parts_.broker.uplinks().session_of(o.uplink), o.seq);
  up.retain = m.retain && !o.late;  // an old one is not to take the place of a newer one
  up.replay = o.replay;
  if (m.expires_at != base::kNever)
    up.expires =
        std::chrono::steady_clock::now() +
        std::chrono::milliseconds(m.expires_at.ms - parts_.broker.messages_at(parts_.now()).ms);
  e.sink->take(std::move(up));
  return true;
}

const UplinkService::Entry* UplinkService::entry_of(const std::string& name) const {
  const auto it = std::find_if(entries_.begin(), entries_.end(),
                               [&name](const auto& e) { return e->config.name == name; });
  return it == entries_.end() ? nullptr : it->get();
}

json::object UplinkService::item(const UplinkState& s) const {
  json::object o{{"name", s.name},
                 {"configured", s.planned},
                 {"queued", s.queued},
                 {"queued_bytes", s.queued_bytes},
                 {"lag_s", s.lag_s},
                 {"sent", s.done},
                 {"expired", s.expired},
                 {"unsendable", s.unsendable},
                 {"refused_telemetry", s.refused[0]},
                 {"refused_events", s.refused[1]},
                 {"refused_plates_and_results", s.refused[2]},
                 {"kept", s.kept},
                 {"kept_bytes", s.kept_bytes},
                 {"replay_left", s.replay_left},
                 {"replayed", s.replayed},
                 {"dead_letters", s.dead},
                 {"dead_letters_lost", s.dead_lost}};
  if (s.kept_from_ms != 0) o["kept_from_ms"] = s.kept_from_ms;
  const Entry* const e = entry_of(s.name);
  const SinkState sink = e != nullptr && e->sink ? e->sink->state() : SinkState();
  o["defined"] = e == nullptr ? "" : in_file(s.name) ? "file" : "rest";
  o["kind"] = e != nullptr ? name_of(e->config.kind) : "";
  o["url"] = e != nullptr ? e->config.url : "";
  o["connected"] = sink.connected;
  o["connections"] = sink.connections;
  o["failures"] = sink.failures;
  o["refused_by_platform"] = sink.refused;
  o["unrouted"] = sink.unrouted;
  o["expired"] = s.expired + sink.expired;
  o["error"] = sink.error;
  return o;
}

void UplinkService::answer(const std::string& question, Answered answered) {
  boost::system::error_code ec;
  const json::value v = json::parse(question, ec);
  if (ec || !v.is_object())  // a name that is no UTF-8, say
    return answered(json::serialize(
        json::object{{"refused", "there is no uplink of this name"}, {"unknown", true}}));
  const json::object& q = v.get_object();
  const std::string what = text_in(q, "do");
  if (what.empty() || what == "show") return answered(json::serialize(show()));
  std::string answer = json::serialize(act(what, text_in(q, "name"), q));
  if (what != "define" && what != "forget") {
    end_turn();
    return answered(std::move(answer));
  }
  when_durable([answered = std::move(answered), answer = std::move(answer)] { answered(answer); });
}

json::object UplinkService::define(const std::string& name, const json::object& question) {
  const json::value* const given = question.if_contains("definition");
  const std::string text = given != nullptr ? json::serialize(*given) : std::string();
  try {
    read_definition(name, text, parts_.files_dir);
  } catch (const std::runtime_error& e) {
    return {{"refused", e.what()}, {"invalid", true}};
  }
  session::Uplinks& all = parts_.broker.uplinks();
  if (in_file(name)) return {{"refused", "the file of uplinks has one of this name"}};
  const bool is_new = !all.definitions().contains(name);
  if (is_new && of_file_.size() + all.definitions().size() >= session::kUplinksMax)
    return {{"refused", "there are " + std::to_string(session::kUplinksMax) + " uplinks"}};
  all.define(name, &text);
  apply();
  return {{"created", is_new}};
}

json::object UplinkService::definition(const std::string& name) const {
  const auto& all = parts_.broker.uplinks().definitions();
  const auto it = all.find(name);
  if (it == all.end()) return {{"refused", "it was not defined over REST"}, {"unknown", true}};
  boost::system::error_code ec;
  return {{"definition", json::parse(it->second, ec)}};
}

// The queue is removed together with the definition: nothing would name an orphaned queue later.
json::object UplinkService::forget(const std::string& name) {
  session::Uplinks& all = parts_.broker.uplinks();
  if (in_file(name)) return {{"refused", "the file of uplinks has one of this name"}};
  if (all.definitions().contains(name)) {
    all.define(name, nullptr);
    apply();
  }
  const bool gone = all.forget(name);
  if (gone) BERTH_LOG(warn, "the queue of an uplink is removed uplink={}", base::LogName{name});
  return {{"forgotten", gone}};
}

json::object UplinkService::show() const {
  json::array items;
  for (const UplinkState& s : parts_.broker.uplinks().states(parts_.now()))
    items.push_back(item(s));
  return {{"items", std::move(items)}};
}

json::object UplinkService::act(const std::string& what, const std::string& name,
                                const json::object& question) {
  if (what == "define") return define(name, question);
  if (what == "definition") return definition(name);
  if (what == "forget") return forget(name);
  session::UplinkQueue* const u = parts_.broker.uplinks().find(name);
  if (u == nullptr) return {{"refused", "there is no uplink of this name"}, {"unknown", true}};
  const bool sends = what == "replay" || what == "send_again";
  if (sends && !u->state(parts_.now()).planned)
    return {{"refused", "this uplink is not configured any more"}};
  if (what == "replay") return replay(*u, question);
  if (what == "stop_replay") {
    u->stop_replay();
    return {{"stopped", true}};
  }
  if (what == "send_again") return {{"messages", u->send_dead_again()}};
  if (what == "discard") return {{"messages", u->discard_dead()}};
  json::array items;
  for (const auto& [seq, d] : u->dead()) {
    if (items.size() == kDeadListed) break;
    items.push_back(json::object{{"id", id_of(u->session().id.value, seq)},
                                 {"topic", as_utf8(d.topic)},
                                 {"bytes", d.bytes},
                                 {"why", as_utf8(d.why)},
                                 {"at_ms", d.at_ms},
                                 {"sent_again", d.again}});
  }
  return {{"items", std::move(items)}};
}

json::object UplinkService::replay(session::UplinkQueue& u, const json::object& question) {
  if (u.plan().keep_ms == 0)
    return {{"refused", "this uplink keeps nothing that was sent (keep_hours)"}};
  if (u.replays()) return {{"refused", "a replay is under way"}};
  return {{"messages", u.replay(number_in(question, "from_ms"), number_in(question, "to_ms"))}};
}

void UplinkService::add_samples(std::vector<metrics::Sample>& out) const {
  for (const UplinkState& s : parts_.broker.uplinks().states(parts_.now())) {
    const Entry* const e = entry_of(s.name);
    const SinkState sink = e != nullptr && e->sink ? e->sink->state() : SinkState();
    const auto add = [&](const char* family, const char* help, bool counter, std::uint64_t value) {
      out.push_back({family, "uplink", s.name, help, counter, value});
    };
    add("berth_uplink_queued_messages", "Messages that wait for an uplink", false, s.queued);
    add("berth_uplink_queued_bytes", "Their bytes", false, s.queued_bytes);
    add("berth_uplink_lag_seconds", "How long the oldest one has waited in this engine", false,
        s.lag_s);
    add("berth_uplink_sent_total", "Messages that the platform has acknowledged", true, s.done);
    add("berth_uplink_dropped_total",
        "Messages that are lost for the platform: the queue was full, they have expired, or there "
        "were more dead letters than are kept",
        true, all_refused(s) + sink.expired);
    add("berth_uplink_dropped_telemetry_total", "Of them: telemetry, the queue was half full", true,
        s.refused[0]);
    add("berth_uplink_dropped_events_total",
        "Of them: events, states and presence, the queue was nine tenths full", true, s.refused[1]);
    add("berth_uplink_dropped_plates_and_results_total",
        "Of them: plate events and results of commands, the queue was full", true, s.refused[2]);
    add("berth_uplink_dropped_expired_total", "Of them: they had expired", true,
        s.expired + sink.expired);
    add("berth_uplink_dropped_dead_letters_total",
        "Of them: there were more dead letters than are kept", true, s.dead_lost);
    add("berth_uplink_dead_letters",
        "Messages that the platform has refused for ever and that are kept", false, s.dead);
    add("berth_uplink_kept_messages", "Messages that were sent and are kept for a replay", false,
        s.kept);
    add("berth_uplink_replayed_total", "Messages that were sent again by a replay", true,
        s.replayed);
    add("berth_uplink_unrouted_total",
        "Messages that the platform has acknowledged and has no place for", true, sink.unrouted);
    add("berth_uplink_connections", "Connections to the platform", false, sink.connected);
    add("berth_uplink_connections_configured", "Connections that there should be", false,
        sink.connections);
    add("berth_uplink_connection_failures_total", "Connections that were lost or refused", true,
        sink.failures);
  }
}

}  // namespace berth::gateway::uplink
