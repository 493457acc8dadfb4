#include "tests/support/redis_server.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <stdexcept>

namespace berth::test {

namespace {

std::string temporary_directory() {
  std::string name = std::filesystem::temp_directory_path() / "berth-redis-XXXXXX";
  return mkdtemp(name.data());
}

// Redis can't choose a port itself. Another process may take it before Redis does: then its start
// fails and another is tried.
int free_port() {
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in a{};
  a.sin_family = AF_INET;
  a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof a;
  const bool good = bind(fd, reinterpret_cast<sockaddr*>(&a), size) == 0 &&
                    getsockname(fd, reinterpret_cast<sockaddr*>(&a), &size) == 0;
  ::close(fd);
  if (!good) throw std::runtime_error("no free port");
  return ntohs(a.sin_port);
}

session::RedisReply ask(int port, std::initializer_list<std::string_view> command) {
  session::RedisOptions o;
  o.address.nodes = {{"127.0.0.1", static_cast<std::uint16_t>(port)}};
  session::RedisConnection c(o);
  c.connect_to_any();
  return c.call(command);
}

// The process itself, not another one that has taken the port.
bool answers(int port, pid_t pid) {
  try {
    const std::string id = "process_id:" + std::to_string(pid) + "\r";
    return ask(port, {"INFO", "server"}).text.find(id) != std::string::npos;
  } catch (const session::RedisError& e) {
    return std::string(e.what()).starts_with("NOAUTH");
  }
}

}  // namespace

RedisServer::RedisServer(std::vector<std::string> flags)
    : flags_(std::move(flags)), directory_(temporary_directory()) {
  start();
}

RedisServer::~RedisServer() {
  process_.reset();
  std::filesystem::remove_all(directory_);
}

void RedisServer::start() {
  const bool first = port_ == 0;
  for (int attempt = 0; attempt < 5; ++attempt) {
    if (first) {
      port_ = free_port();
      tls_port_ = free_port();
    }
    std::vector<std::string> argv{"redis-server",
                                  "--port",
                                  std::to_string(port_),
                                  "--bind",
                                  "127.0.0.1",
                                  "--dir",
                                  directory_,
                                  "--save",
                                  "",
                                  "--appendonly",
                                  "yes",
                                  "--appendfsync",
                                  "always",
                                  "--repl-diskless-sync-delay",
                                  "0"};
    for (const std::string& f : flags_) {
      argv.push_back(f == "TLS_PORT" ? std::to_string(tls_port_) : f);
    }
    process_ = std::make_unique<Process>(argv, directory_ + "/log");
    if (eventually([this] { return !process_->running() || answers(port_, process_->pid()); }) &&
        process_->running()) {
      return;
    }
  }
  throw std::runtime_error("redis-server did not start: " + process_->log());
}

void RedisServer::kill9() {
  process_->send(SIGKILL);
  process_->wait();
}

session::RedisReply RedisServer::call(std::initializer_list<std::string_view> command) const {
  return ask(port_, command);
}

RedisSentinel::RedisSentinel(const RedisServer& master)
    : directory_(temporary_directory()), port_(free_port()) {
  const std::string config = directory_ + "/sentinel.conf";
  std::ofstream(config) << "port " << port_ << "\nbind 127.0.0.1\ndir " << directory_
                        << "\nsentinel monitor m 127.0.0.1 " << master.port()
                        << " 1\nsentinel down-after-milliseconds m 500\n"
                        << "sentinel failover-timeout m 2000\n";
  process_ = std::make_unique<Process>(std::vector<std::string>{"redis-sentinel", config},
                                       directory_ + "/log");
  if (!eventually([this] { return answers(port_, process_->pid()); })) {
    throw std::runtime_error("redis-sentinel did not start: " + process_->log());
  }
}

RedisSentinel::~RedisSentinel() {
  process_.reset();
  std::filesystem::remove_all(directory_);
}

std::string RedisSentinel::url() const {
  return "redis-sentinel://127.0.0.1:" + std::to_string(port_) + "/m";
}

session::RedisReply RedisSentinel::call(std::initializer_list<std::string_view> command) const {
  return ask(port_, command);
}

RedisCluster::RedisCluster() {
  std::string command = "redis-cli --cluster create --cluster-yes --cluster-replicas 1";
  for (int i = 0; i < 6; ++i) {
    nodes_.push_back(std::make_unique<RedisServer>(
        std::vector<std::string>{"--cluster-enabled", "yes", "--cluster-node-timeout", "1000",
                                 "--cluster-port", "TLS_PORT"}));
    command += " 127.0.0.1:" + std::to_string(nodes_.back()->port());
  }
  if (std::system((command + " >/dev/null").c_str()) != 0)
    throw std::runtime_error("no Redis Cluster: " + command);
  const bool good = eventually([this] {
    for (const auto& n : nodes_) {
      const std::string info = n->call({"CLUSTER", "INFO"}).text;
      if (info.find("cluster_state:ok") == std::string::npos) return false;
      const session::RedisReply role = n->call({"ROLE"});
      const bool replica = role.items.at(0).text == "slave";
      if (replica ? role.items.at(3).text != "connected" : role.items.at(2).items.size() != 1)
        return false;
    }
    return true;
  });
  if (!good) throw std::runtime_error("the Redis Cluster does not come up");
}

std::string RedisCluster::url() const {
  return "redis-cluster://127.0.0.1:" + std::to_string(nodes_[0]->port()) +
         ",127.0.0.1:" + std::to_string(nodes_[1]->port());
}

RedisServer& RedisCluster::owner(const std::string& key, const RedisServer* except) {
  for (const auto& asked : nodes_) {
    if (asked.get() == except) continue;
    const auto slot = asked->call({"CLUSTER", "KEYSLOT", key}).integer;
    for (const auto& range : asked->call({"CLUSTER", "SLOTS"}).items) {
      if (slot < range.items[0].integer || slot > range.items[1].integer) continue;
      for (const auto& n : nodes_) {
        if (n->port() == range.items[2].items[1].integer) return *n;
      }
    }
    break;
  }
  throw std::runtime_error("nobody has the slot of " + key);
}

}  // namespace berth::test
