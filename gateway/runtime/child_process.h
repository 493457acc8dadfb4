// Starting and watching an engine child: exec of the installed path with the poison word (a shared
// page) as descriptor 3, a socket for each edge shard from descriptor 4 on, and behind these the
// memory of log-ins. The child is ended by its pid, only by us.
#pragma once

#include <sys/types.h>

#include <atomic>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace berth::gateway::runtime {

inline constexpr int kPoisonFd = 3;
inline constexpr int kFirstLinkFd = 4;
// In a child's environment: "1" for the first of a gateway, which must not serve with bad files.
inline constexpr const char* kFirstVariable = "BERTH_SUPERVISOR_FIRST";

// One page shared by edge and engine. Written by the engine before and after each input; read by
// the edge when the engine is dead.
class PoisonPage {
 public:
  PoisonPage();                 // makes one
  explicit PoisonPage(int fd);  // maps one made by the parent
  ~PoisonPage();
  PoisonPage(const PoisonPage&) = delete;
  PoisonPage& operator=(const PoisonPage&) = delete;
  int fd() const { return fd_; }
  std::atomic<std::uint64_t>* word() { return word_; }

 private:
  int fd_ = -1;
  std::atomic<std::uint64_t>* word_ = nullptr;
};

// Memory without a name that processes share by its descriptor; empty. Close-on-exec. Throws
// std::system_error.
class SharedMemory {
 public:
  explicit SharedMemory(const char* name);
  ~SharedMemory();
  SharedMemory(const SharedMemory&) = delete;
  SharedMemory& operator=(const SharedMemory&) = delete;
  int fd() const { return fd_; }

 private:
  int fd_;
};

struct Child {
  pid_t pid = -1;
  std::vector<int> link_fds;  // our ends
};

// A connected pair of stream sockets for a link, non-blocking, with large buffers.
std::pair<int, int> link_pair();

// Throws std::system_error; no descriptor is left open then. The environment is ours with
// `environment` laid over it. The child has no other descriptor of ours than these, 0, 1 and 2,
// whether it is close-on-exec or not.
Child spawn_engine(const std::string& path, const std::map<std::string, std::string>& environment,
                   int poison_fd, std::uint32_t links, int logins_fd = -1);
std::uint32_t links_given();  // in the child: how many sockets it has
int logins_given();           // in the child: the memory of log-ins; -1: none

// How a child ended, of waitpid(): "exit 69", "SIGKILL".
std::string text_of_status(int status);

// Processes that the kernel has killed for want of memory since it was started, of the whole host;
// 0: the kernel does not say.
std::uint64_t oom_kills();

// Waits for a child that was sent SIGKILL, `limit_ms` at most. False: it is not gone yet (it is in
// the kernel, on a disk that does not answer).
bool reap_within(pid_t pid, int& status, int limit_ms);

// 'R', 'S', 'T', … from /proc; 0: gone.
char process_state(pid_t pid);

// In the child: follow the parent only (signals of a terminal or of systemd to the whole group are
// for the parent, which ends its children when their devices have been told), die with it, be the
// OOM killer's choice, keep below `memory_mb` (0: no limit).
void adopt_child_limits(std::uint32_t memory_mb);

std::string executable_path();     // as installed, not the inode in use
void raise_descriptor_limit();     // soft limit to the hard one
std::uint64_t descriptor_limit();  // of this process, the soft one

}  // namespace berth::gateway::runtime
