#include "gateway/runtime/child_process.h"

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <system_error>
#include <vector>

extern char** environ;

namespace berth::gateway::runtime {
namespace {

constexpr std::size_t kPage = 4096;
constexpr const char* kParentVariable = "BERTH_SUPERVISOR_PID";
constexpr const char* kLinksVariable = "BERTH_SUPERVISOR_LINKS";
constexpr int kOutOfTheWay = 128;     // descriptors from here on are not those the child expects
constexpr int kLinkBuffer = 4 << 20;  // bytes, each way

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

}  // namespace

PoisonPage::PoisonPage() {
  fd_ = memfd_create("berth-poison", MFD_CLOEXEC);
  if (fd_ < 0 || ftruncate(fd_, kPage) != 0) fail("memfd");
  word_ = map_page(fd_);
}
PoisonPage::PoisonPage(int fd) : fd_(fd), word_(map_page(fd)) {}
PoisonPage::~PoisonPage() {
  munmap(word_, kPage);
  ::close(fd_);
}

std::pair<int, int> link_pair() {
  int ends[2];
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends) != 0)
    fail("socketpair");
  enlarge(ends[0]);
  enlarge(ends[1]);
  return {ends[0], ends[1]};
}

std::uint32_t links_given() {
  const char* n = std::getenv(kLinksVariable);
  return n == nullptr ? 1 : static_cast<std::uint32_t>(std::atoi(n));
}

Child spawn_engine(const std::string& path, const std::map<std::string, std::string>& environment,
                   int poison_fd, std::uint32_t links) {
  Child child;
  std::vector<int> theirs;  // duplicates, to be closed here
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  // First out of the way, then into place: dup2 clears close-on-exec.
  const auto give = [&](int fd, int as) {
    theirs.push_back(fcntl(fd, F_DUPFD_CLOEXEC, kOutOfTheWay));
    posix_spawn_file_actions_adddup2(&actions, theirs.back(), as);
  };
  give(poison_fd, kPoisonFd);
  for (std::uint32_t i = 0; i < links; ++i) {
    const auto [ours, end] = link_pair();
    child.link_fds.push_back(ours);
    give(end, kFirstLinkFd + static_cast<int>(i));
    ::close(end);
  }
  posix_spawnattr_t attributes;
  posix_spawnattr_init(&attributes);
  sigset_t none;
  sigemptyset(&none);
  posix_spawnattr_setsigmask(&attributes, &none);
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK);

  std::map<std::string, std::string> merged;
  for (char** e = environ; *e != nullptr; ++e) {
    if (const char* eq = std::strchr(*e, '='))
      merged[std::string(static_cast<const char*>(*e), eq)] = eq + 1;
  }
  for (const auto& [k, v] : environment) merged[k] = v;
  merged[kParentVariable] = std::to_string(getpid());
  merged[kLinksVariable] = std::to_string(links);
  std::vector<std::string> lines;
  for (const auto& [k, v] : merged) lines.push_back(k + "=" + v);
  std::vector<char*> envp;
  for (auto& l : lines) envp.push_back(l.data());
  envp.push_back(nullptr);
  std::string arg0 = "berth";
  std::string arg1 = "engine-child";
  char* argv[] = {arg0.data(), arg1.data(), nullptr};

  const int error = posix_spawn(&child.pid, path.c_str(), &actions, &attributes, argv, envp.data());
  posix_spawn_file_actions_destroy(&actions);
  posix_spawnattr_destroy(&attributes);
  for (const int fd : theirs) ::close(fd);
  if (error != 0) {
    for (const int fd : child.link_fds) ::close(fd);
    throw std::system_error(error, std::generic_category(), "start " + path);
  }
  return child;
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
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  const char* parent =
      std::getenv(kParentVariable);  // a container's edge is pid 1: ask for its own pid
  if (parent != nullptr && std::atoi(parent) != getppid())
    std::_Exit(0);  // died before the line above
  if (std::FILE* f = std::fopen("/proc/self/oom_score_adj", "w")) {
    std::fputs("500", f);
    std::fclose(f);
  }
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

}  // namespace berth::gateway::runtime
