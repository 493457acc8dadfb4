// All links of an engine, one for each edge shard: EdgePort by the link number in a connection's id
// and the order of the frames of a turn (DESIGN section 4, "Order of copies"). One frame a link
// first; what must come late (QoS 0 from another link's publisher) only when all of those have been
// taken by the kernel, so that an engine's death between two writes loses such a copy and never
// doubles it. Runs on the engine's thread.
#pragma once

#include <deque>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "gateway/link/engine_link.h"
#include "gateway/link/ports.h"

namespace berth::gateway::link {

class LinkSet final : public EdgePort {
 public:
  EngineLink& add(std::unique_ptr<EngineLink> link);
  std::size_t size() const { return links_.size(); }
  EngineLink& operator[](std::size_t i) { return *links_[i]; }
  bool all_sent() const;
  // To be called when a link has become able to take more.
  void push_on();

  bool wants_cookies() const override { return true; }
  void send(base::ConnId conn, std::string_view head, std::string_view tail) override {
    of(conn).send(conn, head, tail);
  }
  void send_late(base::ConnId conn, std::string_view head, std::string_view tail) override {
    of(conn).send_late(conn, head, tail);
  }
  void acknowledge(base::ConnId conn, std::uint64_t in_ack) override {
    of(conn).acknowledge(conn, in_ack);
  }
  void cookie(base::ConnId conn, protocol::link::CookieSlot slot, std::string bytes) override {
    of(conn).cookie(conn, slot, std::move(bytes));
  }
  void connected(base::ConnId conn, const protocol::link::EdgeSettings& settings) override {
    of(conn).connected(conn, settings);
  }
  void close(base::ConnId conn, protocol::link::CloseReason reason) override {
    of(conn).close(conn, reason);
  }
  void release(base::ConnId conn) override { of(conn).release(conn); }
  bool writable(base::ConnId conn) override { return of(conn).writable(conn); }
  void reoffer(base::ConnId conn) override { of(conn).reoffer(conn); }
  void flush() override;

 private:
  // Frames by link, to be written together. `apart`: not before all that came earlier has left.
  struct Stage {
    bool apart = false;
    std::vector<std::string> frames;
  };
  EngineLink& of(base::ConnId conn) { return *links_[conn.link()]; }
  bool sockets_empty() const;
  void write(Stage& stage);

  std::vector<std::unique_ptr<EngineLink>> links_;
  std::deque<Stage> waiting_;
};

}  // namespace berth::gateway::link
