// Certificates of a test's own: an authority and what it signs, as PEM files in a directory.
#pragma once

#include <cstdlib>
#include <stdexcept>
#include <string>

namespace berth::test {

class Certificates {
 public:
  explicit Certificates(std::string directory) : directory_(std::move(directory)) {
    run("req -x509 " + key("ca") + " -days 2 -subj /CN=authority -out " + file("ca.crt"));
  }
  // NAME.crt and NAME.key, for this DNS name.
  void issue(const std::string& name, const std::string& dns) {
    run("req " + key(name) + " -subj /CN=" + name + " -addext subjectAltName=DNS:" + dns +
        (dns == "localhost" ? ",IP:127.0.0.1" : "") + " -out " + file(name + ".csr"));
    run("x509 -req -days 2 -copy_extensions copy -CAcreateserial -CA " + file("ca.crt") +
        " -CAkey " + file("ca.key") + " -in " + file(name + ".csr") + " -out " +
        file(name + ".crt"));
  }
  std::string file(const std::string& name) const { return directory_ + "/" + name; }

 private:
  std::string key(const std::string& name) const {
    return "-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -keyout " + file(name + ".key");
  }
  static void run(const std::string& arguments) {
    if (std::system(("openssl " + arguments + " >/dev/null 2>&1").c_str()) != 0)
      throw std::runtime_error("openssl " + arguments);
  }
  std::string directory_;
};

}  // namespace berth::test
