#include "gateway/uplink/uplink_service.h"

#include <algorithm>
#include <boost/asio/post.hpp>
#include <boost/json.hpp>
#include <cstdio>
#include <utility>

#include "base/log.h"
#include "base/random_id.h"
#include "gateway/uplink/mqtt_sink.h"

namespace berth::gateway::uplink {

namespace asio = boost::asio;
namespace json = boost::json;
using session::UplinkState;

namespace {

constexpr std::size_t kTopicBytesMax = 65'535;  // MQTT 1.5.4

std::string random_suffix() {
  char text[9];
  std::snprintf(text, sizeof text, "%08llx",
                static_cast<unsigned long long>(base::random_id() & 0xffffffff));
  return text;
}

std::uint64_t all_refused(const UplinkState& s) {
  std::uint64_t n = s.expired + s.unsendable;
  for (const std::uint64_t r : s.refused) n += r;
  return n;
}

}  // namespace

UplinkService::UplinkService(Parts parts)
    : parts_(std::move(parts)),
      who_("p" + std::to_string(parts_.partition) + "-" + random_suffix()),
      sinks_(parts_.io) {}

UplinkService::~UplinkService() {
  parts_.broker.uplinks().stop();
}

void UplinkService::use(const std::vector<UplinkConfig>& uplinks) {
  auto before = std::exchange(entries_, {});
  std::vector<session::UplinkPlan> plans;
  for (const UplinkConfig& c : uplinks) {
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
    if (!e->sink) e->sink = make_sink(*e);
  }
  BERTH_LOG(info, "uplinks partition={} in_force={}", parts_.partition, entries_.size());
  end_turn();
}

std::unique_ptr<SinkThread::Lane> UplinkService::make_sink(Entry& e) {
  return sinks_.start(
      [config = e.config, who = who_](asio::io_context& io, const Sink::Events& events) {
        return std::make_unique<MqttSink>(io, config, who, events);
      },
      Sink::Events{.ready =
                       [this, &e](bool yes) {
                         parts_.broker.uplinks().use(e.index, yes);
                         end_turn();
                       },
                   .done =
                       [this, &e](std::uint32_t generation, std::uint64_t seq) {
                         parts_.broker.uplinks().done(e.index, generation, seq);
                         end_turn();
                       }});
}

// Once for many that are told in one call.
void UplinkService::end_turn() {
  if (std::exchange(turn_posted_, true)) return;
  asio::post(parts_.io, [this, alive = std::weak_ptr<bool>(alive_)] {
    if (alive.expired()) return;
    turn_posted_ = false;
    parts_.turn_end();
  });
}

// What has no topic at the platform can't go.
bool UplinkService::offer(std::size_t uplink, std::uint32_t generation, std::uint64_t seq,
                          const session::MessageView& m) {
  Entry& e = *entries_.at(uplink);
  std::string topic = upstream_topic(e.config, m.topic);
  if (topic.size() > kTopicBytesMax) {
    BERTH_LOG(err, "a message has too long a topic for its platform uplink={} bytes={}",
              e.config.name, topic.size());
    return false;
  }
  Upward up;
  up.generation = generation;
  up.seq = seq;
  up.key = order_key(m.topic);
  up.topic = std::move(topic);
  up.payload = m.payload;
  up.properties = m.forwarded;
  up.id = std::to_string(parts_.partition) + "-" +
          std::to_string(parts_.broker.uplinks().session_of(uplink)) + "-" + std::to_string(seq);
  up.retain = m.retain;
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
                 {"refused_plates_and_results", s.refused[2]}};
  const Entry* const e = entry_of(s.name);
  const SinkState sink = e != nullptr && e->sink ? e->sink->state() : SinkState();
  o["url"] = e != nullptr ? e->config.url : "";
  o["connected"] = sink.connected;
  o["connections"] = sink.connections;
  o["failures"] = sink.failures;
  o["refused_by_platform"] = sink.refused;
  o["expired"] = s.expired + sink.expired;
  o["error"] = sink.error;
  return o;
}

std::string UplinkService::answer(const std::string& question) {
  boost::system::error_code ec;
  const json::value v = json::parse(question, ec);
  if (!ec && v.is_object()) {
    const json::value* const what = v.get_object().if_contains("do");
    const json::value* const name = v.get_object().if_contains("name");
    if (what != nullptr && *what == json::value("forget") && name != nullptr && name->is_string()) {
      const std::string text(name->get_string());
      const bool gone = parts_.broker.uplinks().forget(text);
      if (gone) BERTH_LOG(warn, "the queue of an uplink is removed uplink={}", text);
      end_turn();
      return json::serialize(json::object{{"forgotten", gone}});
    }
  }
  json::array items;
  for (const UplinkState& s : parts_.broker.uplinks().states(parts_.now()))
    items.push_back(item(s));
  return json::serialize(json::object{{"items", std::move(items)}});
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
        "Messages that did not come to the platform: the queue was full, they have expired, or it "
        "refuses them for ever",
        true, all_refused(s) + sink.refused + sink.expired);
    add("berth_uplink_connections", "Connections to the platform", false, sink.connected);
    add("berth_uplink_connections_configured", "Connections that there should be", false,
        sink.connections);
    add("berth_uplink_connection_failures_total", "Connections that were lost or refused", true,
        sink.failures);
  }
}

}  // namespace berth::gateway::uplink
