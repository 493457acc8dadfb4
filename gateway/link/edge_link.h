// The edge's end of a link to an engine process: EnginePort as bytes. One for each edge shard (and
// each engine, in a cluster); runs on the shard's thread. Steps are applied to the edge a
// whole turn at once, each only if epoch and offset match.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "gateway/link/engine_clock.h"
#include "gateway/link/frame_socket.h"
#include "gateway/link/pending_questions.h"
#include "gateway/link/ports.h"
#include "protocol/link/records.h"

namespace berth::gateway::link {

class EdgeLink final : public EnginePort,
                       public io::Poller::Handler,
                       private protocol::link::EngineTurnVisitor {
 public:
  struct Events {
    std::function<void()> ready;  // the engine has restored its store
    std::function<void()> heartbeat;
    std::function<void()> drained;
    std::function<void()> lost;                                               // end of stream
    std::function<void(std::uint64_t id, std::string_view payload)> samples;  // of get_samples()
    // of a remote engine
    std::function<void(const protocol::link::Welcome&)> welcome;
    std::function<void(const protocol::link::Status&)> status;
    std::function<void(std::string_view why)> refused;
    std::function<void(base::ConnId conn)> dying;  // of this connection's input
    std::function<void(const protocol::link::Settings&)> settings;
    std::function<void(protocol::link::ForwardedWork)> dying_forwarded;
    std::function<void(std::string_view strike)> strike;
  };
  EdgeLink(boost::asio::io_context& io, StepSink& edge, Events events);

  // The socket may still be connecting. `tls`: see FrameSocket::open().
  void open(int fd, const protocol::link::Hello& hello, SSL* tls = nullptr);
  bool is_open() const { return socket_.is_open(); }
  const std::string& why_lost() const { return socket_.why(); }  // of the last stream
  std::int64_t heard_ns() const { return heard_ns_; }            // monotonic: when bytes came last
  void close();  // applies the frames that have arrived, then closes the socket
  void send_alive(const protocol::link::Alive& a);
  void send_strike(std::string_view strike);
  void send_skip(protocol::link::ForwardedWork w);
  void send_admits(std::uint32_t per_second);
  void set_serving(bool serving) { serving_ = serving; }
  void send_empty(protocol::link::FrameType type);  // drain, stop
  void scrape(std::uint64_t id);

  bool serving() const override { return serving_; }
  bool survives_engine() const override { return true; }
  void attach(const protocol::link::Attach& a) override;
  void attached_all() override;
  std::size_t input(base::ConnId conn, std::uint64_t offset, std::uint64_t in_ack,
                    base::ByteView bytes) override;
  void closed(base::ConnId conn, protocol::link::CloseReason cause) override;
  void credit(base::ConnId conn, std::uint64_t written) override;
  void told(base::ConnId conn, std::uint64_t tag, protocol::link::Fate fate) override;
  void pending(base::ConnId conn, std::uint64_t tag) override;
  base::Instant deadline_clock() override;
  void ask(protocol::link::Question q, Answered answered) override;
  void kept_out(const std::vector<protocol::link::KeptOut>& list) override;
  void turn_end() override;
  void accepted(std::uint32_t, std::uint64_t) override {}

 private:
  void on_event(std::uint64_t tag, std::uint32_t events) override;
  void on_turn_end() override;
  void on_frame(const protocol::link::FrameView& f);
  void on_step(const protocol::link::Step& s) override;
  void send_parts(const protocol::link::Step& s);
  std::string& turn();
  void send_word(protocol::link::FrameType type, std::uint64_t word);

  StepSink& edge_;
  Events events_;
  io::Poller poller_;
  FrameSocket socket_;
  std::size_t turn_at_ = 0;
  std::uint64_t turns_ = 0;           // applied
  std::uint64_t turns_reported_ = 0;  // of these
  std::int64_t heard_ns_ = 0;
  bool malformed_ = false;
  bool closing_ = false;  // in close(): frames are applied, but no engine becomes ready
  bool in_turn_ = false;
  std::uint64_t engine_version_ = protocol::link::kVersion;
  EngineClock clock_;
  PendingQuestions questions_;
  bool remote_ = false;
  bool serving_ = false;
};

}  // namespace berth::gateway::link
