// Two network namespaces with a wire between them that a test can cut: what a peer's kernel gets or
// does not get is then not up to a fake. Needs root and `ip`; a test is skipped without them.
#pragma once

#include <fcntl.h>
#include <sched.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <string>
#include <type_traits>

namespace berth::test {

// The thread is in the first namespace while it lives. Sockets stay where they were made.
class TwoNetworks {
 public:
  static constexpr const char* kHere = "10.199.199.1";
  static constexpr const char* kThere = "10.199.199.2";
  static constexpr const char* kHereMac = "02:00:00:00:00:01";
  static constexpr const char* kThereMac = "02:00:00:00:00:02";

  TwoNetworks() {
    if (unshare(CLONE_NEWNET) != 0) return;
    here_ = ::open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
    int ready[2];
    int done[2];
    if (pipe2(ready, O_CLOEXEC) != 0 || pipe2(done, O_CLOEXEC) != 0) return;
    const pid_t other = fork();  // holds the second one until we have it
    if (other == 0) hold_another(ready[1], done);
    ::close(ready[1]);
    ::close(done[0]);
    char made = 0;
    const bool is_made = ::read(ready[0], &made, 1) == 1;
    const std::string pid = std::to_string(other);
    there_ = ::open(("/proc/" + pid + "/ns/net").c_str(), O_RDONLY | O_CLOEXEC);
    ok_ = is_made &&
          run(std::string("ip link add berth-a address ") + kHereMac +
              " type veth peer name berth-b address " + kThereMac) &&
          run("ip link set berth-b netns " + pid) &&
          run(std::string("ip addr add ") + kHere + "/24 dev berth-a") &&
          run("ip link set berth-a up") && run(neighbour(kThere, kThereMac, "berth-a"));
    ::close(done[1]);
    ::close(ready[0]);
    waitpid(other, nullptr, 0);
    ok_ = ok_ && there([] {
            return run(std::string("ip addr add ") + kThere + "/24 dev berth-b") &&
                   run("ip link set berth-b up");
          });
  }
  ~TwoNetworks() {
    setns(before_, CLONE_NEWNET);
    for (const int fd : {before_, here_, there_}) ::close(fd);
  }
  TwoNetworks(const TwoNetworks&) = delete;
  TwoNetworks& operator=(const TwoNetworks&) = delete;

  bool ok() const { return ok_; }
  // Runs `f` in the second namespace.
  template <typename F>
  std::invoke_result_t<F> there(const F& f) {
    setns(there_, CLONE_NEWNET);
    const auto result = f();
    setns(here_, CLONE_NEWNET);
    return result;
  }
  bool cut() {
    return there([] { return run("ip link set berth-b down"); });
  }
  bool mend() {
    return there([] { return run("ip link set berth-b up"); });
  }

 private:
  [[noreturn]] static void hold_another(int ready, const int (&done)[2]) {
    ::close(done[1]);
    char end = 0;
    if (unshare(CLONE_NEWNET) == 0 && ::write(ready, "", 1) == 1) (void)!::read(done[0], &end, 1);
    _exit(0);
  }
  // Known for ever: what waits for an answer to ARP would outlive its socket.
  static std::string neighbour(const char* address, const char* mac, const char* device) {
    return std::string("ip neigh replace ") + address + " lladdr " + mac + " nud permanent dev " +
           device;
  }
  static bool run(const std::string& command) {
    return std::system((command + " >/dev/null 2>&1").c_str()) == 0;
  }
  int before_ = ::open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
  int here_ = -1;
  int there_ = -1;
  bool ok_ = false;
};

}  // namespace berth::test
