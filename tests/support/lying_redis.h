// A proxy before a real Redis that answers some commands itself, or says more than was asked: what
// a broken proxy, a wrong server or a shifted stream would. One request at a time on a connection,
// on a thread of its own; any number of connections.
#pragma once

#include <atomic>
#include <functional>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

namespace berth::test {

class LyingRedis {
 public:
  struct Lie {
    std::optional<std::string> instead;  // the command is not passed on, this is its answer
    std::string before, after;           // more answers, around the true one
  };
  using Command = std::vector<std::string>;
  // `lie` runs on connections' threads, one at a time.
  LyingRedis(int real_port, std::function<Lie(const Command&)> lie);
  ~LyingRedis();
  int port() const { return port_; }
  std::string url() const { return "redis://127.0.0.1:" + std::to_string(port_); }
  std::uint64_t lies() const { return lies_; }  // told
  std::uint64_t connections() const { return connections_; }

 private:
  void accept_all();
  void serve(int client);
  Lie ask(const Command& command);

  int real_port_;
  std::function<Lie(const Command&)> lie_;
  std::mutex mutex_;  // of lie_
  int listener_ = -1;
  int port_ = 0;
  std::atomic<bool> running_{true};
  std::atomic<std::uint64_t> lies_{0};
  std::atomic<std::uint64_t> connections_{0};
  std::vector<std::thread> threads_;
  std::thread acceptor_;
};

}  // namespace berth::test
