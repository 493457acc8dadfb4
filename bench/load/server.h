// A gateway of this run's own: `berth serve` in a temporary directory, on free ports that it keeps
// when it is started again; ended by its id.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <string>
#include <vector>

namespace berth::bench {

class Server {
 public:
  // `arguments`: more of `berth serve`. Throws std::runtime_error where it does not start.
  Server(std::string binary, std::vector<std::string> arguments);
  ~Server();
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;

  std::uint16_t port(const std::string& listener) const;  // "mqtt", "mqtts", "ws", "wss", "park"
  pid_t pid() const { return pid_; }
  // kill -9 of the engine that serves; of all where it has none of its own, or none serves.
  void kill_engine();
  void kill_all();  // and started again
  // `berth ctl restart-engine`, begun; its end is not waited for.
  void replace_engine();

 private:
  void start();
  void end(int signal);
  bool came_up();
  std::string log() const;

  std::string binary_;
  std::vector<std::string> arguments_;
  std::string directory_;
  std::string ready_;  // the line that names its ports
  pid_t pid_ = -1;
  pid_t replacing_ = -1;
  int starts_ = 0;
};

}  // namespace berth::bench
