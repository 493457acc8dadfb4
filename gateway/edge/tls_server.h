// TLS of the connections of devices: certificates, session tickets, whether a device must show a
// certificate. One for all shards of an edge; accept() from any thread. OpenSSL 3, TLS 1.2 and 1.3.
#pragma once

#include <openssl/types.h>

#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "gateway/runtime/certificates.h"

namespace berth::gateway::edge {

// What of a device's certificate is its user name.
enum class CertificateName : std::uint8_t { none, common_name, dns_name, fingerprint };

enum class ClientCertificates : std::uint8_t { none, optional, required };

struct TlsServerOptions {
  // PEM. Certificates with their chains and their keys; several (one RSA, one ECDSA) with commas
  // between them, in the same order.
  std::string cert_file;
  std::string key_file;
  std::string ca_file;   // who signs devices' certificates
  std::string crl_file;  // what they have revoked, PEM; empty: nothing is
  ClientCertificates client_certificates = ClientCertificates::none;
  bool tls13_only = false;
  CertificateName user_name = CertificateName::none;
  // 80 random bytes: with the same at every edge a session begun at one is resumed at another
  // (RFC 5077, RFC 8446 2.2). Empty: a key of this process. For how long: client_trust.h.
  std::string ticket_key_file;
  // Where copies of these files are kept while they are good, and looked for when they are not at a
  // start (runtime/last_good.h); empty: nowhere.
  std::string keep_directory;
};

std::vector<std::string> files_of(const TlsServerOptions& o);  // all it names, empty ones too

// Of the certificate that the peer has shown and that was verified; empty: none, or it has no such
// name. `fingerprint`: SHA-256 of it, 64 hex digits in lower case.
std::string name_of_peer(SSL* tls, CertificateName which);

class TlsServer {
 public:
  // Reads the files or, where they are bad or expired, their last good copies, if these are still
  // valid. Throws std::runtime_error that names the file.
  explicit TlsServer(TlsServerOptions options);
  ~TlsServer();
  // Reads all files again, for connections to come. Throws like the constructor, for an expired
  // certificate too; what was in use stays in use then (I11).
  void reload();
  // Throws std::runtime_error that names the bad or expired file; copies do not count.
  static void check(TlsServerOptions options);
  std::vector<runtime::CertificateExpiry> expiries() const;  // mqtts, mqtts_ca, mqtts_crl
  std::size_t authorities() const;  // how many may sign devices' certificates
  // The server's side of a stream over this non-blocking descriptor; null: out of memory.
  SSL* accept(int fd) const;
  // See ClientTrust::still_holds().
  bool still_trusts(SSL* tls, bool& verified) const;
  bool asks_for_certificates() const {
    return options_.client_certificates != ClientCertificates::none;
  }
  CertificateName user_name() const { return options_.user_name; }

 private:
  using Context = std::shared_ptr<SSL_CTX>;
  struct Made {
    Context context;
    std::vector<runtime::CertificateExpiry> expiries;
    std::size_t authorities = 0;
  };
  Made make(const TlsServerOptions& o) const;
  bool use_copies(const std::string& why_not);
  TlsServerOptions options_;
  std::string own_ticket_key_;  // without a file; for all contexts of this process
  mutable std::mutex mutex_;
  Made now_;
};

}  // namespace berth::gateway::edge
