// All links of an engine: an EdgePort that finds the link by the number in a connection's id. A
// turn sends at most one turn frame on each link (docs/design.md, "Turns and steps"). Calls for a
// number without a link do nothing. Runs on the engine's thread.
#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "gateway/link/engine_link.h"
#include "gateway/link/ports.h"

namespace berth::gateway::link {

class LinkSet final : public EdgePort {
 public:
  EngineLink& add(std::unique_ptr<EngineLink> link);  // under the next number
  // REQUIRES: the number is free.
  void put(std::uint32_t number, std::unique_ptr<EngineLink> link);
  std::unique_ptr<EngineLink> take(std::uint32_t number);
  std::size_t size() const { return links_.size(); }
  EngineLink& operator[](std::size_t i) { return *links_[i]; }
  EngineLink* find(std::size_t i) { return i < links_.size() ? links_[i].get() : nullptr; }
  // One more edge has attached its connections. Routes before inputs: with the last of them the
  // engine hears of it, and only then does any link pass input on. True: it was the last.
  bool attached(EnginePort& engine);
  bool all_attached() const { return attached_ == links_.size(); }
  bool all_sent() const;      // and nothing is being gathered
  bool all_accepted() const;  // the same

  bool wants_cookies() const override { return true; }
  void send(base::ConnId conn, std::string_view head, std::string_view tail) override {
    if (EngineLink* l = find(conn.link())) l->send(conn, head, tail);
  }
  void send_until(base::ConnId conn, std::string_view head, std::string_view tail,
                  const protocol::link::Deadline& d) override {
    if (EngineLink* l = find(conn.link())) l->send_until(conn, head, tail, d);
  }
  void told_taken(base::ConnId conn, std::uint64_t tag, protocol::link::Fate fate) override {
    if (EngineLink* l = find(conn.link())) l->told_taken(conn, tag, fate);
  }
  bool watches(base::ConnId conn) override {
    EngineLink* l = find(conn.link());
    return l != nullptr && l->watches();
  }
  std::uint64_t turn_of(base::ConnId conn) override {
    EngineLink* l = find(conn.link());
    return l == nullptr ? 0 : l->turn();
  }
  void acknowledge(base::ConnId conn, std::uint64_t in_ack) override {
    if (EngineLink* l = find(conn.link())) l->acknowledge(conn, in_ack);
  }
  void cookie(base::ConnId conn, protocol::link::CookieSlot slot, std::string bytes) override {
    if (EngineLink* l = find(conn.link())) l->cookie(conn, slot, std::move(bytes));
  }
  bool keeps(base::ConnId conn, protocol::link::CookieSlot slot) override {
    EngineLink* l = find(conn.link());
    return l == nullptr || l->keeps(slot);
  }
  void connected(base::ConnId conn, const protocol::link::EdgeSettings& settings) override {
    if (EngineLink* l = find(conn.link())) l->connected(conn, settings);
  }
  void close(base::ConnId conn, protocol::link::CloseReason reason) override {
    if (EngineLink* l = find(conn.link())) l->close(conn, reason);
  }
  void release(base::ConnId conn) override {
    if (EngineLink* l = find(conn.link())) l->release(conn);
  }
  bool writable(base::ConnId conn) override {
    EngineLink* l = find(conn.link());
    return l != nullptr && l->writable(conn);
  }
  void reoffer(base::ConnId conn) override {
    if (EngineLink* l = find(conn.link())) l->reoffer(conn);
  }
  void flush() override;

 private:
  std::vector<std::unique_ptr<EngineLink>> links_;  // by number
  std::size_t attached_ = 0;
};

}  // namespace berth::gateway::link
