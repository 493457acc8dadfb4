// A self-signed certificate for a server that is measured. Clients of the bench do not check it.
#pragma once

#include <string>

namespace berth::bench {

// PEM files; an ECDSA key of P-256. Throws std::runtime_error.
void make_certificate(const std::string& certificate, const std::string& key);

}  // namespace berth::bench
