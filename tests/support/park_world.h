// A Park device in a World (world.h): the World's edge greets it.
#pragma once

#include <set>
#include <string>
#include <vector>

#include "protocol/park/control.h"
#include "protocol/park/device.h"
#include "tests/support/envelopes.h"
#include "tests/support/world.h"

namespace berth::test {

namespace park = protocol::park;

class WorldDevice : public park::DeviceHandler {
 public:
  WorldDevice(World& w, park::Device::Options o) : w_(w), d_(std::move(o), *this) {}

  void come(std::uint32_t link = 0) {
    c = w_.open(link);
    ended = false;
    seqs_.clear();
    const std::string greeting = park::encode_greeting(
        {.nonce = std::string(park::kNonceBytes, 'n'), .server_time_ms = 1, .crc_wanted = true},
        park::kCrc);
    d_.opened();
    w_.feed(c, greeting);
    d_.receive(base::as_bytes(greeting));
    pump();
  }
  // Until nobody has anything to say.
  void pump() {
    for (bool more = true; more && !ended;) {
      const std::string said = std::exchange(d_.out(), {});
      if (!said.empty()) w_.feed(c, said);
      const std::string heard = w_.take_bytes(c);
      more = !said.empty() || !heard.empty();
      if (!d_.receive(base::as_bytes(heard)) || w_.ended(c)) {
        ended = true;
        d_.closed();
      }
    }
  }
  std::uint64_t say(const v1::Envelope& e, park::FrameType type = park::FrameType::event,
                    std::uint8_t flags = 0) {
    const std::uint64_t n = d_.report(type, e.SerializeAsString(), flags);
    pump();
    return n;
  }
  void raw(std::string_view bytes) {
    w_.feed(c, bytes);
    pump();
  }
  park::Device& device() { return d_; }

  int c = -1;
  bool ended = false;
  bool acknowledges = true;           // commands, as they come
  std::vector<std::string> commands;  // "name id payload", "desired payload"; again: "+" in front
  std::set<std::uint64_t> acked;
  std::vector<std::string> refused;  // "number code"
  std::vector<park::DeviceEnd> ends;
  int welcomes = 0;
  bool resumed = false;
  int resent_live = 0;  // a delivery twice on one connection
  std::uint32_t last_ttl_ms = 0;
  std::uint64_t last_deadline_ms = 0;

 private:
  void on_welcome(bool r) override {
    ++welcomes;
    resumed = r;
  }
  void on_command(const park::DeviceCommand& k) override {
    std::string text = k.again ? "+" : "";
    text += k.desired ? "desired" : k.name + " " + k.id;
    if (!k.child.empty()) text += "@" + k.child;
    commands.push_back(text + " " + k.payload);
    last_ttl_ms = k.ttl_ms;
    last_deadline_ms = k.deadline_ms;
    if (k.seq != 0 && !seqs_.insert(k.seq).second) ++resent_live;
    if (acknowledges) d_.received(k);
  }
  void on_acked(std::uint64_t n) override { acked.insert(n); }
  void on_refused(std::uint64_t n, std::uint32_t code, const std::string&) override {
    refused.push_back(std::to_string(n) + " " + std::to_string(code));
  }
  void on_end(const park::DeviceEnd& e) override { ends.push_back(e); }

  World& w_;
  park::Device d_;
  std::set<std::uint32_t> seqs_;
};

}  // namespace berth::test
