#include "gateway/runtime/child_process.h"

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <new>
#include <system_error>
#include <utility>
#include <vector>

#include "base/exit_codes.h"

extern char** environ;

namespace berth::gateway::runtime {
namespace {

constexpr std::size_t kPage = 4096;
constexpr const char* kParentVariable = "BERTH_SUPERVISOR_PID";
constexpr const char* kLinksVariable = "BERTH_SUPERVISOR_LINKS";
constexpr const char* kLoginsVariable = "BERTH_SUPERVISOR_LOGINS";
constexpr int kOutOfTheWay = 128;     // descriptors from here on are not those the child expects
constexpr int kLinkBuffer = 4 << 20;  // bytes, each way
constexpr int kSignalsOfTheParent[] = {SIGTERM, SIGINT, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2};

[[noreturn]] void fail(const char* what) {
  throw std::system_error(errno, std::generic_category(), what);
}

std::atomic<std::uint64_t>* map_page(int fd) {
  void* p = mmap(nullptr, kPage, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  if (p == MAP_FAILED) fail("mmap");
  return static_cast<std::atomic<std::uint64_t>*>(p);
}

void enlarge(int fd) {
  for (const int option : {SO_SNDBUFFORCE, SO_RCVBUFFORCE}) {
    setsockopt(fd, SOL_SOCKET, option, &kLinkBuffer, sizeof kLinkBuffer);
  }
  for (const int option : {SO_SNDBUF, SO_RCVBUF}) {
    int now = 0;
    socklen_t size = sizeof now;
    getsockopt(fd, SOL_SOCKET, option, &now, &size);
    if (now < kLinkBuffer) setsockopt(fd, SOL_SOCKET, option, &kLinkBuffer, sizeof kLinkBuffer);
  }
}

struct Descriptors {  // closed with it
  Descriptors() = default;
  ~Descriptors() {
    for (const int fd : fds) ::close(fd);
  }
  Descriptors(const Descriptors&) = delete;
  Descriptors& operator=(const Descriptors&) = delete;
  std::vector<int> fds;
};

// What posix_spawn is told: the child's descriptors and signals.
struct Spawning {
  // Our ends of the links are added to `ours`. `logins_fd` -1: none. Throws std::system_error.
  Spawning(int poison_fd, std::uint32_t links, int logins_fd, std::vector<int>& ours) {
    posix_spawn_file_actions_init(&actions);
    posix_spawnattr_init(&attributes);
    give(poison_fd, kPoisonFd);
    for (std::uint32_t i = 0; i < links; ++i) {
      const auto [here, there] = link_pair();
      ours.push_back(here);
      theirs.fds.push_back(there);
      give(there, kFirstLinkFd + static_cast<int>(i));
    }
    int next = kFirstLinkFd + static_cast<int>(links);
    if (logins_fd >= 0) give(logins_fd, next++);
    // Libraries open descriptors without close-on-exec (Asio's accept does).
    posix_spawn_file_actions_addclosefrom_np(&actions, next);
    // Blocked until the child ignores them: adopt_child_limits().
    sigset_t blocked;
    sigemptyset(&blocked);
    for (const int s : kSignalsOfTheParent) sigaddset(&blocked, s);
    posix_spawnattr_setsigmask(&attributes, &blocked);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK);
  }
  ~Spawning() {
    posix_spawn_file_actions_destroy(&actions);
    posix_spawnattr_destroy(&attributes);
  }
  Spawning(const Spawning&) = delete;
  Spawning& operator=(const Spawning&) = delete;
  // First out of the way, then into place: dup2 clears close-on-exec.
  void give(int fd, int as) {
    const int away = fcntl(fd, F_DUPFD_CLOEXEC, kOutOfTheWay);
    if (away < 0) fail("descriptor for an engine");
    theirs.fds.push_back(away);
    posix_spawn_file_actions_adddup2(&actions, away, as);
  }

  Descriptors theirs;
  posix_spawn_file_actions_t actions{};
  posix_spawnattr_t attributes{};
};

}  // namespace

PoisonPage::PoisonPage() {
  fd_ = memfd_create("berth-poison", MFD_CLOEXEC);
  if (fd_ < 0) fail("memfd");
  try {
    if (ftruncate(fd_, kPage) != 0) fail("memfd");
    word_ = map_page(fd_);
  } catch (...) {
    ::close(fd_);
    throw;
  }
}
PoisonPage::PoisonPage(int fd) : fd_(fd), word_(map_page(fd)) {}
PoisonPage::~PoisonPage() {
  munmap(word_, kPage);
  ::close(fd_);
}

SharedMemory::SharedMemory(const char* name) : fd_(memfd_create(name, MFD_CLOEXEC)) {
  if (fd_ < 0) fail("memfd");
}
SharedMemory::~SharedMemory() {
  ::close(fd_);
}

std::pair<int, int> link_pair() {
  int ends[2];
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends) != 0)
    fail("socketpair");
  enlarge(ends[0]);  // best effort
  enlarge(ends[1]);
  return {ends[0], ends[1]};
}

std::uint32_t links_given() {
  const char* n = std::getenv(kLinksVariable);
  return n == nullptr ? 1 : static_cast<std::uint32_t>(std::atoi(n));
}

int logins_given() {
  const char* fd = std::getenv(kLoginsVariable);
  return fd == nullptr ? -1 : std::atoi(fd);
}

Child spawn_engine(const std::string& path, const std::map<std::string, std::string>& environment,
                   int poison_fd, std::uint32_t links, int logins_fd) {
  Child child;
  Descriptors ours;
  const int logins_as = kFirstLinkFd + static_cast<int>(links);
  const Spawning spawning(poison_fd, links, logins_fd, ours.fds);
  std::map<std::string, std::string> merged;
  for (char** e = environ; *e != nullptr; ++e) {
    if (const char* eq = std::strchr(*e, '='))
      merged[std::string(static_cast<const char*>(*e), eq)] = eq + 1;
  }
  for (const auto& [k, v] : environment) merged[k] = v;
  merged[kParentVariable] = std::to_string(getpid());
  merged[kLinksVariable] = std::to_string(links);
  if (logins_fd >= 0) merged[kLoginsVariable] = std::to_string(logins_as);
  std::vector<std::string> lines;
  for (const auto& [k, v] : merged) lines.push_back(k + "=" + v);
  std::vector<char*> envp;
  for (auto& l : lines) envp.push_back(l.data());
  envp.push_back(nullptr);
  std::string arg0 = "berth";
  std::string arg1 = "engine-child";
  char* argv[] = {arg0.data(), arg1.data(), nullptr};

  const int error = posix_spawn(&child.pid, path.c_str(), &spawning.actions, &spawning.attributes,
                                argv, envp.data());
  if (error != 0) throw std::system_error(error, std::generic_category(), "start " + path);
  child.link_fds = std::exchange(ours.fds, {});
  return child;
}

std::string text_of_status(int status) {
  if (WIFEXITED(status)) return "exit " + std::to_string(WEXITSTATUS(status));
  if (!WIFSIGNALED(status)) return "status " + std::to_string(status);
  const char* name = sigabbrev_np(WTERMSIG(status));
  return name != nullptr ? "SIG" + std::string(name) : "signal " + std::to_string(WTERMSIG(status));
}

std::uint64_t oom_kills() {
  std::FILE* f = std::fopen("/proc/vmstat", "re");
  if (f == nullptr) return 0;
  unsigned long long n = 0;
  char line[128];
  while (std::fgets(line, sizeof line, f) != nullptr) {
    if (std::sscanf(line, "oom_kill %llu", &n) == 1) break;
  }
  std::fclose(f);
  return n;
}

bool reap_within(pid_t pid, int& status, int limit_ms) {
  for (int waited_ms = 0;; ++waited_ms) {
    if (waitpid(pid, &status, WNOHANG) != 0) return true;
    if (waited_ms >= limit_ms) return false;
    const timespec millisecond{0, 1'000'000};
    nanosleep(&millisecond, nullptr);
  }
}

char process_state(pid_t pid) {
  const std::string path = "/proc/" + std::to_string(pid) + "/stat";
  std::FILE* f = std::fopen(path.c_str(), "r");
  if (f == nullptr) return 0;
  char line[512] = {};
  const std::size_t n = std::fread(line, 1, sizeof line - 1, f);
  std::fclose(f);
  const char* paren = n == 0 ? nullptr : std::strrchr(line, ')');
  return paren != nullptr && paren[1] == ' ' ? paren[2] : 0;
}

void adopt_child_limits(std::uint32_t memory_mb) {
  sigset_t blocked;
  sigemptyset(&blocked);
  for (const int s : kSignalsOfTheParent) {
    signal(s, SIG_IGN);
    sigaddset(&blocked, s);
  }
  sigprocmask(SIG_UNBLOCK, &blocked, nullptr);
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  const char* parent =
      std::getenv(kParentVariable);  // a container's edge is pid 1: ask for its own pid
  if (parent != nullptr && std::atoi(parent) != getppid())
    std::_Exit(0);  // died before the line above
  if (std::FILE* f = std::fopen("/proc/self/oom_score_adj", "w")) {
    std::fputs("500", f);
    std::fclose(f);
  }
  std::set_new_handler([] { std::_Exit(base::kExitOutOfMemory); });
  if (memory_mb != 0) {
    const rlim_t bytes = static_cast<rlim_t>(memory_mb) << 20;
    const rlimit limit{bytes, bytes};
    setrlimit(RLIMIT_DATA, &limit);
  }
}

std::string executable_path() {
  char path[4096];
  const ssize_t n = readlink("/proc/self/exe", path, sizeof path - 1);
  if (n <= 0) fail("/proc/self/exe");
  return std::string(path, static_cast<std::size_t>(n));
}

void raise_descriptor_limit() {
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
  }
}

std::uint64_t descriptor_limit() {
  rlimit limit{};
  return getrlimit(RLIMIT_NOFILE, &limit) == 0 ? limit.rlim_cur : 1024;
}

}  // namespace berth::gateway::runtime
