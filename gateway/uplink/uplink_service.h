// The uplinks of one engine (docs/uplinks.md): which there are by the file and by what was defined
// over REST, a sink for each, and what they are like. On the engine's loop; owned by who owns the
// engine, ends before it.
#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/json/object.hpp>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "front/broker.h"
#include "gateway/uplink/sink_thread.h"
#include "gateway/uplink/uplink_config.h"
#include "metrics/probe.h"
#include "session/uplinks.h"

namespace berth::gateway::uplink {

class UplinkService final : private session::UplinkSink {
 public:
  struct Parts {
    boost::asio::io_context& io;
    session::Broker& broker;
    std::uint32_t partition = 0;
    std::function<base::Instant()> now;
    std::function<void()> turn_end;     // after something was told to the broker
    std::uint64_t max_bytes = 0;        // of their queues together: fit_into()
    std::string files_dir;              // definition.h
    tracing::Tracer* tracer = nullptr;  // null: tracing is off; else it outlives the service
  };
  explicit UplinkService(Parts parts);
  ~UplinkService();
  UplinkService(const UplinkService&) = delete;
  UplinkService& operator=(const UplinkService&) = delete;

  // From now on these of the file, and those that were defined. One that is as before goes on; of
  // one that has changed what is on its way is sent again.
  void use(std::vector<UplinkConfig> of_file);
  // docs/uplinks.md, "Over REST": {"do": show | define | definition | forget | replay | stop_replay
  // | dead | send_again | discard, "name": NAME, ...}. `answered` gets the answer, at once or when
  // what was asked for is durable. That to what can't be done has "refused": WHY, and "unknown":
  // true where there is no uplink of this name, or "invalid": true where the question was wrong.
  using Answered = std::function<void(std::string)>;
  void answer(const std::string& question, Answered answered);
  void add_samples(std::vector<metrics::Sample>& out) const;

 private:
  struct Entry {
    UplinkConfig config;
    std::uint64_t revision = 0;
    std::size_t index = 0;
    std::unique_ptr<SinkThread::Lane> sink;
    bool rested = false;
  };
  bool offer(const session::UplinkOffer& o, const session::MessageView& m) override;
  void rest() override;
  bool rested() const override;
  std::unique_ptr<SinkThread::Lane> begin_sink(Entry& e);
  std::vector<UplinkConfig> with_definitions() const;
  void apply();
  void when_durable(std::function<void()> f);
  boost::json::object show() const;
  boost::json::object define(const std::string& name, const boost::json::object& question);
  boost::json::object definition(const std::string& name) const;
  boost::json::object forget(const std::string& name);
  boost::json::object act(const std::string& what, const std::string& name,
                          const boost::json::object& question);
  boost::json::object replay(session::UplinkQueue& u, const boost::json::object& question);
  std::string id_of(std::uint64_t session, std::uint64_t seq) const;
  void command(const Entry& e, Downward d);
  void end_turn();
  boost::json::object item(const session::UplinkState& s) const;
  const Entry* entry_of(const std::string& name) const;
  bool in_file(const std::string& name) const;

  Parts parts_;
  SinkThread sinks_;  // outlives the lanes of the entries
  std::vector<UplinkConfig> of_file_;
  std::vector<std::unique_ptr<Entry>> entries_;
  std::uint64_t revisions_ = 0;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
  bool turn_posted_ = false;
};

}  // namespace berth::gateway::uplink
