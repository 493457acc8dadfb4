// TLS of the links between edges and engines: both sides show a certificate of the cluster's own
// authority. A link can speak for any device, so without TLS it must run in a network of its own.
#pragma once

#include <openssl/types.h>

#include <memory>
#include <string>

namespace berth::gateway::link {

struct TlsFiles {
  std::string ca_file;    // PEM, who signs the certificates of edges and engines
  std::string cert_file;  // PEM, ours, with its chain
  std::string key_file;
  // DNS names with commas between them, one of which the peer's certificate must have; empty: any
  // of the authority's.
  std::string peer_name;
  bool enabled() const { return !ca_file.empty(); }
};

class TlsContext {
 public:
  // TLS 1.3 only. Throws std::runtime_error that names the file.
  explicit TlsContext(const TlsFiles& files);
  ~TlsContext();
  // A stream's state, to be given to FrameSocket::open().
  SSL* accept() const;
  SSL* connect() const;

 private:
  SSL* make() const;
  SSL_CTX* context_;
  std::string peer_name_;
};

}  // namespace berth::gateway::link
