// Programs a test starts and ends by their id: the gateway itself, mosquitto, prometheus.
#pragma once

#include <signal.h>
#include <sys/types.h>

#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace berth::test {

using Clock = std::chrono::steady_clock;

// Asks until `condition` holds; false at the deadline. The only way tests wait.
bool eventually(const std::function<bool()>& condition,
                std::chrono::milliseconds limit = std::chrono::seconds(20));

// Of a process that a test has found by its parent. False: `pid` is no single process, or gone.
bool send_signal(pid_t pid, int number);

class Process {
 public:
  // Output goes to `log_path`.
  Process(std::vector<std::string> argv, std::string log_path);
  ~Process();  // SIGKILL if it still runs
  Process(const Process&) = delete;
  Process& operator=(const Process&) = delete;
  pid_t pid() const { return pid_; }
  void send(int signal_number) {
    if (pid_ > 0) ::kill(pid_, signal_number);
  }
  // Waits for its end; -signal, exit code, or 1000 when the deadline passed.
  int wait(std::chrono::milliseconds limit = std::chrono::seconds(30));
  bool running();
  std::string log() const;

 private:
  pid_t pid_ = -1;
  int status_ = 0;
  bool ended_ = false;
  std::string log_path_;
};

}  // namespace berth::test
