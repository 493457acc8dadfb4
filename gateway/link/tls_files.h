// The files of the links' TLS as they are configured, and whose certificate is taken. Plain data.
#pragma once

#include <string>

namespace berth::gateway::link {

struct TlsFiles {
  std::string ca_file;    // PEM, who signs the certificates of edges and engines
  std::string cert_file;  // PEM, ours, with its chain
  std::string key_file;
  // DNS names with commas between them, one of which the peer's certificate must have: as a DNS
  // name of its subjectAltName or, where it has none of these, as its common name.
  std::string peer_name;
  // Where copies of the three files are kept while they are good, and looked for when they are not
  // at a start (runtime/last_good.h); empty: nowhere.
  std::string keep_directory;
  bool enabled() const { return !ca_file.empty(); }
};

}  // namespace berth::gateway::link
