// The gateway as a test runs it: on free ports, with a directory of its own.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "tests/support/process.h"

namespace berth::test {

// A gateway on free ports with a directory of its own: `berth serve`, or an edge or engine of a
// cluster.
class GatewayProcess {
 public:
  enum class Role { serve, edge, engine };
  explicit GatewayProcess(std::vector<std::string> flags = {}, std::string directory = {},
                          Role role = Role::serve, int link_port = 0);
  ~GatewayProcess();
  void start();  // again after kill(); the same directory, the same MQTT and link port
  void kill9();
  int terminate();
  int mqtt_port() const { return mqtt_port_; }
  int mqtts_port() const { return mqtts_port_; }  // 0: off
  int ws_port() const { return ws_port_; }
  int wss_port() const { return wss_port_; }
  int park_port() const { return park_port_; }
  int parks_port() const { return parks_port_; }
  int admin_port() const { return admin_port_; }
  int link_port() const { return link_port_; }
  bool serving() const;  // an engine: it is the one that serves
  std::string get(const std::string& target, int* status = nullptr) const;
  std::string post(const std::string& target) const;
  std::string admin_token() const;
  // Value of one line of /metrics, e.g. "berth_engine_deaths_total"; -1 if absent.
  double metric(const std::string& name_and_labels) const;
  pid_t engine_pid() const;  // of the serving engine; -1: none
  // Waits for a serving engine first: kill(2) of -1 would end every process of the machine.
  void signal_engine(int signal_number);
  Process& process() { return *process_; }
  const std::string& directory() const { return directory_; }
  std::string log() const { return process_ ? process_->log() : ""; }

 private:
  std::vector<std::string> flags_;
  std::string directory_;
  bool own_directory_;
  Role role_;
  std::unique_ptr<Process> process_;
  int mqtt_port_ = 0;
  int mqtts_port_ = 0;
  int ws_port_ = 0;
  int wss_port_ = 0;
  int park_port_ = 0;
  int parks_port_ = 0;
  int admin_port_ = 0;
  int link_port_ = 0;
  int starts_ = 0;
};

// BERTH_BINARY, or that of the build; while one of BERTH_FAULT_TOPIC, _FORWARDED, _CLOCK is set, the
// build's berth-faults, which obeys them.
std::string berth_binary();

}  // namespace berth::test
