// TLS of the connections of devices: certificates, session tickets, whether a device must show a
// certificate. One for all shards of an edge; accept() from any thread. OpenSSL 3, TLS 1.2 and 1.3.
#pragma once

#include <openssl/types.h>

#include <cstdint>
#include <memory>
#include <mutex>
#include <string>

namespace berth::gateway::edge {

enum class ClientCertificates : std::uint8_t { none, optional, required };

struct TlsServerOptions {
  // PEM. Certificates with their chains and their keys; several (one RSA, one ECDSA) with commas
  // between them, in the same order.
  std::string cert_file;
  std::string key_file;
  std::string ca_file;  // who signs devices' certificates
  ClientCertificates client_certificates = ClientCertificates::none;
  bool tls13_only = false;
  // 80 random bytes: with the same at every edge a session begun at one is resumed at another
  // (RFC 5077, RFC 8446 2.2). Empty: a key of this process.
  std::string ticket_key_file;
};

class TlsServer {
 public:
  explicit TlsServer(TlsServerOptions options);  // throws std::runtime_error that names the file
  ~TlsServer();
  // Reads all files again, for connections to come. Throws like the constructor; what was in use
  // stays in use then (I11).
  void reload();
  // The server's side of a stream over this non-blocking descriptor; null: out of memory.
  SSL* accept(int fd) const;

 private:
  using Context = std::shared_ptr<SSL_CTX>;
  static Context make(const TlsServerOptions& o);
  TlsServerOptions options_;
  mutable std::mutex mutex_;
  Context context_;
};

}  // namespace berth::gateway::edge
