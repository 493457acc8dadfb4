// HTTP with a body, for the admin port of a gateway under test.
#pragma once

#include <cstdlib>
#include <fstream>
#include <map>
#include <mutex>
#include <string>

#include "tests/support/loopback.h"
#include "tests/support/process.h"

namespace berth::test {

struct RestAnswer {
  int status = 0;  // 0: nobody has answered
  std::string head;
  std::string body;
};

// Where the gateways under test keep their tokens, by admin port. Any thread.
class AdminTokens {
 public:
  static void put(int port, const std::string& file) {
    const std::lock_guard lock(mutex());
    files()[port] = file;
  }
  static std::string of(int port) {
    const std::lock_guard lock(mutex());
    std::ifstream in(files()[port]);
    std::string token;
    in >> token;
    return token;
  }

 private:
  static std::map<int, std::string>& files() {
    static std::map<int, std::string> all;
    return all;
  }
  static std::mutex& mutex() {
    static std::mutex m;
    return m;
  }
};

class Rest {
 public:
  // With the token of a GatewayProcess at this port; or with another one, empty: with none.
  explicit Rest(int port) : port_(port), token_(AdminTokens::of(port)) {}
  Rest(int port, std::string token) : port_(port), token_(std::move(token)) {}

  // `more`: header lines, each with its CRLF.
  RestAnswer ask(const std::string& method, const std::string& target, const std::string& body = {},
                 const std::string& more = {}) const {
    const int fd = connect_loopback(port_);
    if (fd < 0) return {};
    std::string out = method + " " + target +
                      " HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n" + more +
                      "Content-Length: " + std::to_string(body.size()) + "\r\n";
    if (!token_.empty()) out += "Authorization: Bearer " + token_ + "\r\n";
    out += "\r\n" + body;
    for (std::size_t at = 0; at < out.size();) {
      const ssize_t n = ::send(fd, out.data() + at, out.size() - at, MSG_NOSIGNAL);
      if (n <= 0) break;
      at += static_cast<std::size_t>(n);
    }
    std::string in;
    char buffer[65536];
    for (ssize_t n = 0; (n = ::recv(fd, buffer, sizeof buffer, 0)) > 0;)
      in.append(buffer, static_cast<std::size_t>(n));
    ::close(fd);
    const std::size_t split = in.find("\r\n\r\n");
    if (split == std::string::npos || in.size() < 12) return {};
    return {std::atoi(in.c_str() + 9), in.substr(0, split), in.substr(split + 4)};
  }
  RestAnswer get(const std::string& target) const { return ask("GET", target); }
  RestAnswer put(const std::string& target, const std::string& json,
                 const std::string& more = {}) const {
    return ask("PUT", target, json, more + "Content-Type: application/json\r\n");
  }
  RestAnswer patch(const std::string& target, const std::string& json) const {
    return ask("PATCH", target, json, "Content-Type: application/merge-patch+json\r\n");
  }
  RestAnswer remove(const std::string& target) const { return ask("DELETE", target); }
  RestAnswer import(const std::string& text, const std::string& type = "application/yaml",
                    const std::string& query = {}) const {
    return ask("POST", "/api/v1/registry/import" + query, text, "Content-Type: " + type + "\r\n");
  }

 private:
  int port_;
  std::string token_;
};

}  // namespace berth::test
