// A configuration with all listeners on, and its certificates, in a directory of its own.
#pragma once

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "tests/support/certificates.h"
#include "tests/support/gateway_process.h"
#include "tests/support/stream.h"

namespace berth::test {

class Listeners {
 public:
  Listeners() : certificates_(directory_.path) {
    certificates_.issue("server", "localhost");
    std::ofstream(directory_.path + "/berth.yaml")
        << "mqtts:\n  listen: 127.0.0.1:0\n  cert_file: " << certificates_.file("server.crt")
        << "\n  key_file: " << certificates_.file("server.key")
        << "\nws:\n  listen: 127.0.0.1:0\nwss:\n  listen: 127.0.0.1:0\n"
        << "park:\n  listen: 127.0.0.1:0\nparks:\n  listen: 127.0.0.1:0\n";
  }
  std::vector<std::string> flags() const { return {"--config", directory_.path + "/berth.yaml"}; }
  static int port(const GatewayProcess& g, Via via) {
    return via == Via::tls   ? g.mqtts_port()
           : via == Via::ws  ? g.ws_port()
           : via == Via::wss ? g.wss_port()
                             : g.mqtt_port();
  }

 private:
  struct Directory {
    Directory() : path(std::filesystem::temp_directory_path() / "berth-listeners-XXXXXX") {
      if (mkdtemp(path.data()) == nullptr) std::abort();
    }
    ~Directory() { std::filesystem::remove_all(path); }
    std::string path;
  };
  Directory directory_;
  Certificates certificates_;
};

}  // namespace berth::test
