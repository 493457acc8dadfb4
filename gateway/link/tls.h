// TLS of the links between edges and engines: both sides show a certificate of the cluster's own
// authority, and each looks for the name it expects in the other's. A link can speak for any
// device. TLS 1.3 only, no resumption: every link is verified anew.
//
// One for all shards of a process; its owner calls reload(), every function may be called from any
// thread.
#pragma once

#include <openssl/types.h>

#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "gateway/link/tls_files.h"
#include "gateway/runtime/certificates.h"

namespace berth::gateway::link {

class TlsContext {
 public:
  // Reads the files; where they are bad or expired the last good copies are used, if these are
  // still valid. Else error() says so; with files that can't be read there are no streams until
  // reload().
  explicit TlsContext(TlsFiles files);
  ~TlsContext();
  // A stream's state, to be given to FrameSocket::open(); null: out of memory, or error().
  SSL* accept() const;
  SSL* connect() const;
  // Reads the files again, for links to come; logs the outcome. False: they are bad or expired, and
  // what was in use stays in use (I11).
  bool reload();
  std::string error() const;  // why there are no streams, or none that a peer takes; else empty
  std::vector<runtime::CertificateExpiry> expiries() const;
  std::vector<std::string> files() const;  // that are read
  // Throws std::runtime_error that names the bad or expired file.
  static void check(const TlsFiles& files);
  // Throws std::runtime_error: our certificate is not of an authority in our own ca_file, so that
  // peers with the same file refuse it.
  static void check_own_authority(const TlsFiles& files);

 private:
  struct Loaded {
    std::shared_ptr<SSL_CTX> context;
    std::vector<runtime::CertificateExpiry> expiries;
  };
  static Loaded load(const TlsFiles& files);
  static Loaded load_valid(const TlsFiles& files);  // not expired either
  bool use_copies(const std::string& why_not);
  SSL* make() const;

  const TlsFiles files_;
  mutable std::mutex mutex_;
  Loaded loaded_;      // context null: none yet
  std::string error_;  // of the last reading, while there is no good one
};

// Why the last call on this stream (which returned `result`) failed, in words; with the subject of
// the certificate where the peer's was refused. On the thread of that call, at once.
std::string failure_of(SSL* tls, int result);

}  // namespace berth::gateway::link
