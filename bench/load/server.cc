#include "bench/load/server.h"

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <stdexcept>
#include <system_error>
#include <thread>

#include "base/clock.h"
#include "bench/load/certificate.h"
#include "bench/load/server_cost.h"

extern char** environ;

namespace berth::bench {

namespace {

namespace fs = std::filesystem;
constexpr std::int64_t kStart_ns = 60'000'000'000;
constexpr std::int64_t kEnd_ns = 20'000'000'000;
const char* const kListeners[] = {"mqtt", "mqtts", "ws", "wss", "park"};

std::vector<std::string> environment_of(const std::string& directory,
                                        const std::map<std::string, std::string>& own) {
  std::vector<std::string> all;
  for (char** e = environ; *e != nullptr; ++e) {
    if (!std::string(*e).starts_with("BERTH_")) all.emplace_back(*e);
  }
  for (const auto& [key, value] : own) all.push_back("BERTH_" + key + "=" + value);
  all.push_back("BERTH_MQTTS_CERT_FILE=" + directory + "/cert.pem");
  all.push_back("BERTH_MQTTS_KEY_FILE=" + directory + "/key.pem");
  // Messages of clients that are away must not be dropped: they are counted.
  all.emplace_back("BERTH_SESSION_QUEUE_MESSAGES=10000000");
  all.emplace_back("BERTH_SESSION_QUEUE_BYTES=4000000000");
  return all;
}

std::vector<char*> pointers(std::vector<std::string>& words) {
  std::vector<char*> all;
  for (std::string& w : words) all.push_back(w.data());
  all.push_back(nullptr);
  return all;
}

// Output goes to the end of `log`. -1: it could not be started.
pid_t spawn(std::vector<std::string> argv, std::vector<std::string> env, const std::string& log) {
  posix_spawn_file_actions_t files;
  posix_spawn_file_actions_init(&files);
  posix_spawn_file_actions_addopen(&files, 0, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_addopen(&files, 1, log.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0600);
  posix_spawn_file_actions_adddup2(&files, 1, 2);
  pid_t pid = -1;
  const int why = posix_spawnp(&pid, argv[0].c_str(), &files, nullptr, pointers(argv).data(),
                               pointers(env).data());
  posix_spawn_file_actions_destroy(&files);
  return why == 0 ? pid : -1;
}

// The one that has the store open.
bool holds_store(pid_t pid) {
  std::error_code ec;
  for (const auto& e : fs::directory_iterator("/proc/" + std::to_string(pid) + "/fd", ec)) {
    if (fs::read_symlink(e.path(), ec).filename() == "LOCK") return true;
  }
  return false;
}

}  // namespace

Server::Server(std::string binary, std::vector<std::string> arguments)
    : binary_(std::move(binary)), arguments_(std::move(arguments)) {
  std::string name = fs::temp_directory_path() / "berth-bench-XXXXXX";
  if (mkdtemp(name.data()) == nullptr) throw std::runtime_error("no temporary directory");
  directory_ = name;
  try {
    make_certificate(directory_ + "/cert.pem", directory_ + "/key.pem");
    start();
  } catch (...) {
    end(SIGKILL);
    fs::remove_all(directory_);
    throw;
  }
}

Server::~Server() {
  end(SIGTERM);
  std::error_code ignored;
  fs::remove_all(directory_, ignored);
}

std::string Server::log() const {
  std::ifstream in(directory_ + "/log." + std::to_string(starts_));
  return {std::istreambuf_iterator<char>(in), {}};
}

bool Server::came_up() {
  const std::string text = log();
  const std::size_t at = text.find("ready mqtt=");
  const std::size_t end = text.find('\n', at);
  if (at == std::string::npos || end == std::string::npos) return false;
  ready_ = text.substr(at, end - at);
  return true;
}

void Server::start() {
  std::map<std::string, std::string> own;
  for (const char* const name : kListeners) {
    std::string key = name;
    for (char& c : key) c = static_cast<char>(std::toupper(c));
    own[key + "_LISTEN"] = "127.0.0.1:" + std::to_string(ready_.empty() ? 0 : port(name));
  }
  own["ADMIN_LISTEN"] = "127.0.0.1:" + std::to_string(ready_.empty() ? 0 : port("admin"));
  own["STORE_DIRECTORY"] = directory_ + "/data";
  std::vector<std::string> argv{binary_, "serve", "--anonymous"};
  argv.insert(argv.end(), arguments_.begin(), arguments_.end());
  ++starts_;
  pid_ =
      spawn(argv, environment_of(directory_, own), directory_ + "/log." + std::to_string(starts_));
  if (pid_ < 0) throw std::runtime_error("can't start " + binary_);
  const std::int64_t deadline = base::monotonic_ns() + kStart_ns;
  while (!came_up()) {
    int status = 0;
    const bool ended = waitpid(pid_, &status, WNOHANG) == pid_;
    if (ended) pid_ = -1;
    if (ended || base::monotonic_ns() > deadline)
      throw std::runtime_error(binary_ + " serve does not come up:\n" + log());
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }
}

std::uint16_t Server::port(const std::string& listener) const {
  const std::size_t at = ready_.find(" " + listener + "=");
  const std::size_t colon = at == std::string::npos ? at : ready_.find(':', at);
  return colon == std::string::npos
             ? std::uint16_t{0}
             : static_cast<std::uint16_t>(std::atoi(ready_.c_str() + colon + 1));
}

void Server::end(int signal) {
  if (replacing_ > 0) {
    kill(replacing_, SIGKILL);
    waitpid(replacing_, nullptr, 0);
    replacing_ = -1;
  }
  if (pid_ <= 0) return;
  kill(pid_, signal);
  const std::int64_t deadline = base::monotonic_ns() + kEnd_ns;
  while (waitpid(pid_, nullptr, WNOHANG) == 0) {
    if (base::monotonic_ns() > deadline) kill(pid_, SIGKILL);
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  pid_ = -1;
}

void Server::kill_engine() {
  for (const pid_t child : children_of(pid_)) {
    if (!holds_store(child)) continue;
    kill(child, SIGKILL);
    return;
  }
  kill_all();
}

void Server::kill_all() {
  const std::vector<pid_t> engines = children_of(pid_);
  for (const pid_t child : engines) kill(child, SIGKILL);
  end(SIGKILL);
  start();
}

void Server::replace_engine() {
  if (replacing_ > 0 && waitpid(replacing_, nullptr, WNOHANG) == 0) return;
  std::map<std::string, std::string> own{{"STORE_DIRECTORY", directory_ + "/data"}};
  replacing_ = spawn(
      {binary_, "ctl", "--admin", "127.0.0.1:" + std::to_string(port("admin")), "restart-engine"},
      environment_of(directory_, own), directory_ + "/ctl.log");
}

}  // namespace berth::bench
