// Edge and engine meet here and nowhere else. Both interfaces are called on the caller's shard
// thread. EngineShard and EdgeShard implement them (direct calls); across threads and processes
// EdgeLink and EngineLink do, as the two ends of a socket.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "gateway/link/ask.h"
#include "protocol/link/types.h"

namespace berth::gateway::link {

// What an edge calls. For each connection: attach(), then input() in the order of offsets without
// gaps, then closed() once; nothing after closed() but turn_end(). An engine that begins to serve
// (after the end of another, or a broken link) gets all of this anew, from the first byte that is
// not acknowledged. The id is free again after EdgePort::release().
class EnginePort {
 public:
  virtual ~EnginePort() = default;
  // False: no engine serves; keep the input, attach again when one does.
  virtual bool serving() const = 0;
  // True: the engine acknowledges input by steps and may have to be given it again, so the edge
  // keeps all of it until then. False (same process): what input() consumed is gone.
  virtual bool survives_engine() const = 0;
  virtual void attach(const protocol::link::Attach& a) = 0;
  virtual void attached_all() = 0;
  // New bytes at stream offset `offset`; `in_ack` as the edge knows it. Returns the bytes consumed
  // (0 where survives_engine()). Bytes not consumed are offered again, in front of newer ones.
  virtual std::size_t input(base::ConnId conn, std::uint64_t offset, std::uint64_t in_ack,
                            base::ByteView bytes) = 0;
  // The socket is closed: the last event of a connection. The engine answers with release().
  virtual void closed(base::ConnId conn, protocol::link::CloseReason cause) = 0;
  // `written`: engine output handed to the kernel so far, bytes.
  virtual void credit(base::ConnId conn, std::uint64_t written) = 0;
  // What has become of the packet with this Deadline::tag. The edge repeats this call to each new
  // engine until the engine calls told_taken(): of a command (is_command()) before attached_all(),
  // else before it replays the connection's input. Comes before closed(); behind it only for what
  // the engine sent before it heard of closed().
  virtual void told(base::ConnId, std::uint64_t /*tag*/, protocol::link::Fate) {}
  // Behind attach(): a watched packet with this tag is in the connection's output, and told()
  // follows when its fate is known. Watched packets that an earlier engine sent, and of which the
  // edge says nothing before attached_all(), have not reached the edge, or their fate was taken.
  virtual void pending(base::ConnId, std::uint64_t /*tag*/) {}
  // What the engine's deadlines are compared with: its clock of messages, now. The end of time if
  // that is not known: what can't be judged is too late.
  virtual base::Instant deadline_clock() { return base::kNever; }
  // A question beside the stream of inputs and steps. `answered` is called once.
  virtual void ask(protocol::link::Question, Answered answered) {
    answered({protocol::link::AskError::not_serving, {}});
  }
  // Adds principals and tenants to the engine's list of those in quarantine; 0 seconds removes one.
  virtual void kept_out(const std::vector<protocol::link::KeptOut>&) {}
  virtual void turn_end() = 0;  // the edge has made all its calls of this loop turn
  // Steps of all turns up to `turn` (EdgePort::turn_of) have reached the edge of link `link`.
  virtual void accepted(std::uint32_t link, std::uint64_t turn) = 0;
};

// What an engine calls. All calls up to flush() take effect together.
class EdgePort {
 public:
  virtual ~EdgePort() = default;
  virtual bool wants_cookies() const = 0;
  // Appends head and tail to the connection's output. They may be a part of a packet, see
  // session::Effects::send().
  virtual void send(base::ConnId conn, std::string_view head, std::string_view tail) = 0;
  // A whole packet that is dropped, and EnginePort::told() called unless the tag is 0, if the
  // socket has taken none of its bytes by `d.not_after`. An edge of a release before version 5 of
  // the link is not told the deadline: it writes the packet whenever the socket takes it.
  // REQUIRES: d.watch only where watches(conn).
  virtual void send_until(base::ConnId conn, std::string_view head, std::string_view tail,
                          const protocol::link::Deadline& d) = 0;
  // Ends the repeats of told().
  virtual void told_taken(base::ConnId conn, std::uint64_t tag, protocol::link::Fate fate) = 0;
  // False: the edge's release says no fates.
  virtual bool watches(base::ConnId) { return true; }
  // The number of the turn whose steps are being gathered for conn's edge.
  virtual std::uint64_t turn_of(base::ConnId conn) = 0;
  virtual void acknowledge(base::ConnId conn, std::uint64_t in_ack) = 0;
  virtual void cookie(base::ConnId conn, protocol::link::CookieSlot slot, std::string bytes) = 0;
  // False: the edge's release knows no such slot.
  virtual bool keeps(base::ConnId, protocol::link::CookieSlot) { return true; }
  virtual void connected(base::ConnId conn, const protocol::link::EdgeSettings& settings) = 0;
  virtual void close(base::ConnId conn, protocol::link::CloseReason reason) = 0;
  // The engine has forgotten the connection. REQUIRES: EnginePort::closed() has been called (the
  // socket is closed).
  virtual void release(base::ConnId conn) = 0;
  virtual bool writable(base::ConnId conn) = 0;
  virtual void reoffer(base::ConnId conn) = 0;  // call EnginePort::input again with what is kept
  virtual void flush() = 0;
};

// What the edge's end of a link applies an engine's steps to.
class StepSink : public EdgePort {
 public:
  // False: the connection is gone, or attached anew since, or has this output already; the step is
  // to be skipped. `out_off`: the offset of the step's output in the connection's stream.
  virtual bool accepts(base::ConnId conn, std::uint32_t attach_epoch, std::uint64_t out_off) = 0;
};

}  // namespace berth::gateway::link
