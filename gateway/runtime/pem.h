// PEM files, read as a whole by base::read_file(), which a set of files may answer
// (runtime/file_set.h). Any thread. Each throws std::runtime_error that names the file.
#pragma once

#include <openssl/types.h>

#include <cstdint>
#include <memory>
#include <string>

namespace berth::gateway::runtime {

struct FreePem {
  void operator()(BIO* in) const;
};
using PemFile = std::unique_ptr<BIO, FreePem>;
PemFile open_pem(const std::string& file);

// All certificates of the file as authorities that the context believes; null: only read. Returns
// the earliest expiry, as earliest_expiry() of certificates.h.
std::int64_t use_authorities(SSL_CTX* context, const std::string& file);

}  // namespace berth::gateway::runtime
