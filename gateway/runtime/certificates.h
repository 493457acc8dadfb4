// What the TLS contexts of device listeners, links and the store have in common: certificates and
// keys are read and checked in one way, their expiry is known, OpenSSL's reason is put into words.
// Any thread; no function here ever asks a terminal for a passphrase.
#pragma once

#include <openssl/types.h>

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace berth::gateway::runtime {

// Of the metric berth_certificate_expiry_timestamp_seconds.
struct CertificateExpiry {
  std::string name;              // which: link, link_ca, mqtts, …
  std::int64_t not_after_s = 0;  // Unix time; of a chain or bundle the earliest
};

// One line of level info for each: its name, and until when it is good.
void log_certificates(const char* what, const std::vector<CertificateExpiry>& all);

// Reads a certificate with its chain, and its key, both PEM, into the context. Returns the earliest
// expiry of the chain as Unix time. Throws std::runtime_error that names the file: it can't be read
// or parsed, the key is another certificate's, the key has a passphrase.
std::int64_t use_certificate(SSL_CTX* context, const std::string& cert_file,
                             const std::string& key_file);

// The certificates in a PEM file of authorities; returns the earliest expiry. Throws
// std::runtime_error that names the file: it can't be read, there is none in it.
std::int64_t earliest_expiry(const std::string& file);

std::int64_t unix_time(const ASN1_TIME* t);       // 0: it is none
std::int64_t expiry_of(const X509* certificate);  // Unix time

// No library of this process asks a terminal for a passphrase from now on; what would have asked
// fails. Call it before threads are started.
void never_ask_for_passphrases();

// The oldest error in OpenSSL's queue of this thread, as text; the queue is empty afterwards.
std::string tls_error();

// A setting without its section, and the file that it names.
using NamedSetting = std::pair<std::string, std::string>;
// `why` begins with the file that is bad: the setting that names this file in front,
// "mqtts.key_file: PATH: …"; else the section.
std::string with_setting(const std::string& why, const std::string& section,
                         const std::vector<NamedSetting>& settings);

}  // namespace berth::gateway::runtime
