// A blocking MQTT client over TLS for tests: which versions, which certificate, which session.
#pragma once

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <memory>
#include <string>
#include <vector>

#include "tests/support/loopback.h"
#include "tests/support/process.h"
#include "tests/support/wire.h"

namespace berth::test {

using TlsSession = std::shared_ptr<SSL_SESSION>;

class TlsClient {
 public:
  struct Options {
    std::string ca_file;  // empty: any server
    std::string cert_file, key_file;
    int version = 0;  // TLS1_2_VERSION, TLS1_3_VERSION; 0: any
    TlsSession session;
    std::string preamble;  // said before TLS begins
  };
  TlsClient(int port, const Options& o)
      : context_(SSL_CTX_new(TLS_client_method()), SSL_CTX_free), fd_(connect_loopback(port)) {
    SSL_CTX_set_session_cache_mode(context_.get(),
                                   SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
    if (!o.ca_file.empty()) {
      SSL_CTX_load_verify_locations(context_.get(), o.ca_file.c_str(), nullptr);
      SSL_CTX_set_verify(context_.get(), SSL_VERIFY_PEER, nullptr);
    }
    if (!o.cert_file.empty()) {
      SSL_CTX_use_certificate_chain_file(context_.get(), o.cert_file.c_str());
      SSL_CTX_use_PrivateKey_file(context_.get(), o.key_file.c_str(), SSL_FILETYPE_PEM);
    }
    SSL_CTX_set_min_proto_version(context_.get(), o.version);
    SSL_CTX_set_max_proto_version(context_.get(), o.version);
    timeval limit{.tv_sec = 20, .tv_usec = 0};
    setsockopt(fd_, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    if (fd_ < 0) return;
    ssl_.reset(SSL_new(context_.get()));
    SSL_set_fd(ssl_.get(), fd_);
    if (o.session) SSL_set_session(ssl_.get(), o.session.get());
    if (!o.preamble.empty()) (void)!::send(fd_, o.preamble.data(), o.preamble.size(), MSG_NOSIGNAL);
    good_ = SSL_connect(ssl_.get()) == 1;
  }
  ~TlsClient() {
    if (good_) SSL_shutdown(ssl_.get());  // else OpenSSL takes its session for a bad one
    ssl_.reset();
    if (fd_ >= 0) ::close(fd_);
  }
  TlsClient(const TlsClient&) = delete;
  TlsClient& operator=(const TlsClient&) = delete;
  bool good() const { return good_; }  // the handshake, as far as this side knows
  bool resumed() const { return SSL_session_reused(ssl_.get()) != 0; }
  TlsSession session() const { return {SSL_get1_session(ssl_.get()), SSL_SESSION_free}; }
  std::string server_name() const {  // the common name of its certificate
    std::unique_ptr<X509, decltype(&X509_free)> cert(SSL_get1_peer_certificate(ssl_.get()),
                                                     X509_free);
    char name[256] = "";
    if (cert) {
      X509_NAME_get_text_by_NID(X509_get_subject_name(cert.get()), NID_commonName, name,
                                sizeof name);
    }
    return name;
  }
  bool send(std::string_view bytes) {
    return good_ && SSL_write(ssl_.get(), bytes.data(), static_cast<int>(bytes.size())) ==
                        static_cast<int>(bytes.size());
  }
  // Packets until one of `type`, the end, or 20 s.
  std::vector<Packet> until(unsigned type) {
    std::vector<Packet> all;
    for (;;) {
      for (Packet& p : take_packets(in_)) ready_.push_back(std::move(p));
      while (!ready_.empty()) {
        all.push_back(ready_.front());
        ready_.erase(ready_.begin());
        if (all.back().type == type) return all;
      }
      char some[65536];
      const int n = good_ ? SSL_read(ssl_.get(), some, sizeof some) : 0;
      if (n <= 0) return all;
      in_.append(some, static_cast<std::size_t>(n));
    }
  }
  bool connect_mqtt(const ConnectOptions& o) { return send(connect(o)) && !until(2).empty(); }

 private:
  std::unique_ptr<SSL_CTX, decltype(&SSL_CTX_free)> context_;
  std::unique_ptr<SSL, decltype(&SSL_free)> ssl_{nullptr, SSL_free};
  int fd_;
  bool good_ = false;
  std::string in_;
  std::vector<Packet> ready_;
};

}  // namespace berth::test
