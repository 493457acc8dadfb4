#include "tests/support/gateway_process.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <sstream>
#include <stdexcept>

#include "gateway/admin/http_client.h"
#include "tests/support/rest.h"

namespace berth::test {

std::string berth_binary() {
  if (std::getenv("BERTH_FAULT_TOPIC") || std::getenv("BERTH_FAULT_FORWARDED") ||
      std::getenv("BERTH_FAULT_CLOCK"))
    return BERTH_FAULTS_BINARY;
  if (const char* b = std::getenv("BERTH_BINARY")) return b;
  return BERTH_BINARY_DEFAULT;
}

GatewayProcess::GatewayProcess(std::vector<std::string> flags, std::string directory, Role role,
                               int link_port)
    : flags_(std::move(flags)),
      directory_(std::move(directory)),
      own_directory_(directory_.empty()),
      role_(role),
      link_port_(link_port) {
  if (own_directory_) {
    std::string name = std::filesystem::temp_directory_path() / "berth-gateway-XXXXXX";
    directory_ = mkdtemp(name.data());
  }
  start();
}

GatewayProcess::~GatewayProcess() {
  process_.reset();
  if (own_directory_) std::filesystem::remove_all(directory_);
}

namespace {
int port_after(const std::string& log, const std::string& key) {
  const std::size_t at = log.rfind(key);
  if (at == std::string::npos || log.compare(at + key.size(), 3, "off") == 0) return 0;
  const std::size_t colon = log.find(':', at + key.size());
  return std::atoi(log.c_str() + colon + 1);
}
}  // namespace

void GatewayProcess::start() {
  static const char* const kNames[] = {"serve", "edge", "engine"};
  // An edge has no --data, but a place for its admin token.
  std::vector<std::string> argv{"env", "BERTH_STORE_DIRECTORY=" + directory_ + "/data",
                                berth_binary(), kNames[static_cast<int>(role_)]};
  const auto flag = [&argv](const char* name, const std::string& value) {
    argv.insert(argv.end(), {name, value});
  };
  if (std::find(flags_.begin(), flags_.end(), "--admin") == flags_.end())
    flag("--admin", "127.0.0.1:0");
  if (role_ != Role::engine) flag("--mqtt", "127.0.0.1:" + std::to_string(mqtt_port_));
  if (role_ != Role::edge) flag("--data", directory_ + "/data");
  if (role_ == Role::engine) flag("--links", "127.0.0.1:" + std::to_string(link_port_));
  argv.insert(argv.end(), flags_.begin(), flags_.end());
  process_ = std::make_unique<Process>(argv, directory_ + "/log." + std::to_string(starts_++));
  const std::string word = role_ == Role::engine ? "ready links=" : "ready mqtt=";
  std::string log;
  const auto whole_line = [&] {  // a line may be read while it is written
    log = process_->log();
    const std::size_t at = log.find(word);
    return at != std::string::npos && log.find('\n', at) != std::string::npos;
  };
  eventually([&] { return whole_line() || !process_->running(); }, std::chrono::seconds(60));
  if (!whole_line()) throw std::runtime_error("gateway did not start:\n" + log);
  (role_ == Role::engine ? link_port_ : mqtt_port_) = port_after(log, word);
  mqtts_port_ = port_after(log, " mqtts=");
  ws_port_ = port_after(log, " ws=");
  wss_port_ = port_after(log, " wss=");
  park_port_ = port_after(log, " park=");
  parks_port_ = port_after(log, " parks=");
  admin_port_ = port_after(log, " admin=");
  const std::size_t token = log.rfind(" token_file=") + 12;
  AdminTokens::put(admin_port_, log.substr(token, log.find(' ', token) - token));
}

std::string GatewayProcess::admin_token() const {
  return AdminTokens::of(admin_port_);
}

bool GatewayProcess::serving() const {
  try {
    return get("/api/v1/status").find("\"state\":\"serving\"") != std::string::npos;
  } catch (const std::runtime_error&) {
    return false;  // it has just ended
  }
}

void GatewayProcess::kill9() {
  process_->send(SIGKILL);
  process_->wait();
}

int GatewayProcess::terminate() {
  process_->send(SIGTERM);
  return process_->wait();
}

std::string GatewayProcess::get(const std::string& target, int* status) const {
  const auto r = gateway::admin::http_request("127.0.0.1", static_cast<std::uint16_t>(admin_port_),
                                              "GET", target, admin_token());
  if (status != nullptr) *status = r.status;
  return r.body;
}

std::string GatewayProcess::post(const std::string& target) const {
  return gateway::admin::http_request("127.0.0.1", static_cast<std::uint16_t>(admin_port_), "POST",
                                      target, admin_token())
      .body;
}

double GatewayProcess::metric(const std::string& name) const {
  std::istringstream lines(get("/metrics"));
  std::string line;
  while (std::getline(lines, line)) {
    if (line.starts_with(name) && line.size() > name.size() && line[name.size()] == ' ') {
      return std::atof(line.c_str() + name.size());
    }
  }
  return -1;
}

void GatewayProcess::signal_engine(int signal_number) {
  pid_t pid = -1;
  ASSERT_TRUE(eventually([&] { return (pid = engine_pid()) > 0; })) << "no engine serves";
  ::kill(pid, signal_number);
}

pid_t GatewayProcess::engine_pid() const {
  const std::string s = get("/api/v1/status");
  const std::size_t serving = s.find("\"state\":\"serving\"");
  if (serving == std::string::npos) return -1;
  const std::size_t pid = s.rfind("\"pid\":", serving);
  return std::atoi(s.c_str() + pid + 6);
}

}  // namespace berth::test
