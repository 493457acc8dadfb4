// The connections of one process: one thread, one epoll set. Opens them (a bounded number at a
// time, each with a deadline), opens those again that the server ended, keeps them alive.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <queue>
#include <string>
#include <vector>

#include "bench/load/shared.h"
#include "bench/load/talk.h"
#include "bench/load/target.h"

namespace berth::bench {

class Client;

// What happens to the pool's clients.
class ClientEvents {
 public:
  virtual ~ClientEvents() = default;
  virtual void on_ready(Client& /*c*/) {}
  virtual void on_message(Client& /*c*/, std::string_view /*payload*/) {}
  virtual void on_settled(Client& /*c*/, std::uint32_t /*number*/) {}
};

class Client final : private Talk::Listener {
 public:
  enum class State : std::uint8_t { closed, waiting, connecting, open, ready };
  Client(std::uint32_t index, std::unique_ptr<Talk> talk, bool durable)
      : index_(index), durable_(durable), talk_(std::move(talk)) {}
  std::uint32_t index() const { return index_; }
  bool ready() const { return state_ == State::ready; }
  bool closed() const { return state_ == State::closed; }
  Talk& talk() { return *talk_; }

 private:
  friend class Pool;
  void on_connected(bool session_present) override;
  void on_ready() override;
  void on_message(std::string_view payload) override;
  void on_settled(std::uint32_t number) override;

  std::uint32_t index_;
  State state_ = State::closed;
  bool durable_;         // a session of it may be expected
  bool served_ = false;  // it was ready once
  bool cut_ = false;     // its last connection was not ended by us
  bool dirty_ = false;
  bool wants_write_ = false;
  std::uint8_t failures_ = 0;   // since it was ready last
  std::int64_t wanted_ns_ = 0;  // the connection; latencies count from there
  std::int64_t since_ns_ = 0;   // of connecting, then of the last bytes out
  std::unique_ptr<Talk> talk_;
  std::unique_ptr<Stream> stream_;  // null: not connected
  std::string in_;
  class Pool* pool_ = nullptr;
};

class Pool {
 public:
  struct Options {
    Target target;
    std::vector<in_addr> sources;
    std::uint32_t under_way_max = 200;  // connections that are being opened
    std::int64_t connect_limit_ns = 10'000'000'000;
    std::int64_t ping_ns = 200'000'000'000;  // without bytes out
  };
  Pool(Options options, ClientEvents& events, Counts& counts);
  ~Pool();
  Pool(const Pool&) = delete;
  Pool& operator=(const Pool&) = delete;

  Client& add(std::unique_ptr<Talk> talk, bool durable = false);
  std::vector<std::unique_ptr<Client>>& clients() { return clients_; }
  // Wants it connected since `wanted_ns`.
  void open(Client& c, std::int64_t wanted_ns);
  void say(Client& c);                // its talk has something to say
  void close(Client& c);              // with a DISCONNECT; it stays closed
  void cut_all(std::int64_t now_ns);  // as if the network was gone; opens them again
  // Moves bytes until `until_ns`, or less if something happened.
  void turn(std::int64_t until_ns);
  std::size_t ready() const { return ready_; }
  // Whether one more would be opened at once.
  bool room() const { return under_way_ + waiting_.size() < options_.under_way_max; }

 private:
  friend class Client;
  struct Retry {
    std::int64_t at_ns;
    Client* client;
    bool operator>(const Retry& o) const { return at_ns > o.at_ns; }
  };
  void start_waiting(std::int64_t now_ns);
  void connect(Client& c, std::int64_t now_ns);
  void on_event(Client& c, unsigned events);
  void down(Client& c);
  void fail(Client& c);
  void leave(Client& c);
  void watch(Client& c, bool write);
  void flush();
  void sweep(std::int64_t now_ns);

  Options options_;
  ClientEvents& events_;
  Counts& counts_;
  int epoll_;
  std::vector<std::unique_ptr<Client>> clients_;
  std::deque<Client*> waiting_;
  std::priority_queue<Retry, std::vector<Retry>, std::greater<>> retries_;
  std::vector<Client*> dirty_;
  std::uint32_t under_way_ = 0;
  std::size_t ready_ = 0;
  std::size_t next_source_ = 0;
  std::size_t swept_ = 0;
  std::int64_t sweep_ns_ = 0;
};

}  // namespace berth::bench
