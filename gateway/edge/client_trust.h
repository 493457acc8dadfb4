// Whom a TLS listener believes about itself: authorities, what they have revoked, and for how long
// a session may go on by its ticket without another full handshake. One for each SSL_CTX, which
// owns it. Read-only after it has been installed; any thread.
//
// A ticket holds what its session was believed by: when the first full handshake was, when the
// first certificate of the chain ends, a digest of authorities and revocations, and the public keys
// of the chain's authorities. It is good as long as none of these has changed or ended, and kAll_s
// after the first handshake at most, however often it has been renewed. A ticket without (of an
// older release) costs a full handshake.
#pragma once

#include <openssl/types.h>

#include <cstdint>
#include <limits>
#include <string>

typedef struct ssl_session_st SSL_SESSION;  // as <openssl/ssl.h> has it

namespace berth::gateway::edge {

struct TlsServerOptions;
enum class CertificateName : std::uint8_t;

class ClientTrust {
 public:
  static constexpr std::int64_t kTicket_s = 7200;
  static constexpr std::int64_t kAll_s = 86'400;
  // Reads the files of `o` into the context and keeps what tickets need. Throws std::runtime_error
  // that names the file. Returns what the context owns.
  static const ClientTrust& install(SSL_CTX* context, const TlsServerOptions& o);
  static const ClientTrust* of(const SSL* tls);
  static const ClientTrust* of(const SSL_CTX* context);

  // A client certificate is required for its name, and the peer's has none that can be one.
  bool nameless(SSL* tls) const;
  std::size_t authorities() const { return authorities_; }
  std::int64_t ca_ends_s() const { return ca_ends_s_; }  // Unix time; the first of them; kNever
  std::int64_t crl_due_s() const { return crl_due_s_; }  // when the first list is too old; kNever
  bool holds(const SSL_SESSION* session) const;          // is its ticket still good
  std::string facts_of(SSL* tls) const;                  // for a ticket
  // Of an open stream, let in by this trust or an earlier one: its peer's certificate is in time,
  // its authority is one of ours and has not revoked it. `own`: the context of this trust.
  // `verified` is set where signatures had to be looked at (0.1 to 0.3 ms), once for each change of
  // authorities and revocations. A list past its nextUpdate ends no open stream.
  bool still_holds(SSL* tls, SSL_CTX* own, bool& verified) const;

  static constexpr std::int64_t kNever = std::numeric_limits<std::int64_t>::max();

 private:
  ClientTrust() = default;
  void read(SSL_CTX* context, const TlsServerOptions& o);
  void read_revocations(SSL_CTX* context, const std::string& file, std::string& all);

  std::string digest_;
  CertificateName needed_{};  // none: no name is needed
  std::size_t authorities_ = 0;
  std::int64_t ca_ends_s_ = kNever;
  std::int64_t crl_due_s_ = kNever;
};

// SHA-256 of the public keys (SubjectPublicKeyInfo) of the authorities in the peer's verified
// chain, the one that signed it first: 32 bytes each, kAuthoritiesMax at most. Empty: it has shown
// none.
inline constexpr std::size_t kAuthoritiesMax = 4;
std::string authorities_of_peer(SSL* tls);

}  // namespace berth::gateway::edge
