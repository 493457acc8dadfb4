// A packet of MQTT or a frame of Park in a few words, for packet traces: its type, ids, topic or
// filters, codes and size. No payload, password or property. Pure; any thread.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace berth::gateway::engine {

// Cuts one direction of a connection into packets, as bytes come. Keeps kHead bytes of each.
class PacketCutter {
 public:
  static constexpr std::size_t kHead = 1024;
  enum class Protocol { mqtt311, mqtt5, park };

  void use(Protocol p) { protocol_ = p; }
  // Calls `said` with the words of each packet that is whole.
  template <class Said>
  void feed(std::string_view bytes, Said&& said) {
    while (!bytes.empty() && !lost_) {
      take(bytes);
      if (size_ == 0 || have_ < size_) continue;
      said(words());
      head_.clear();
      size_ = have_ = 0;
    }
  }

 private:
  // Some of `bytes`, not beyond the packet.
  void take(std::string_view& bytes);
  void find_size();
  std::string words() const;
  std::string mqtt_words() const;
  std::string park_words() const;

  Protocol protocol_ = Protocol::mqtt311;
  std::string head_;      // its first bytes
  std::size_t size_ = 0;  // of the packet; 0: not known yet
  std::size_t have_ = 0;  // of its bytes
  bool lost_ = false;     // these are no packets
};

}  // namespace berth::gateway::engine
