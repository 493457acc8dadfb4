#include "gateway/runtime/certificates.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/ui.h>
#include <openssl/x509.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <ctime>
#include <limits>
#include <memory>
#include <stdexcept>

#include "base/log.h"
#include "base/read_file.h"
#include "gateway/runtime/pem.h"

namespace berth::gateway::runtime {
namespace {

constexpr std::int64_t kNever = std::numeric_limits<std::int64_t>::max();

[[noreturn]] void fail(const std::string& file) {
  throw std::runtime_error(file + ": " + tls_error());
}

int no_passphrase(char*, int, int, void*) {
  return -1;
}

using Certificate = std::unique_ptr<X509, decltype(&X509_free)>;

Certificate next_certificate(BIO* in) {
  return {PEM_read_bio_X509(in, nullptr, no_passphrase, nullptr), X509_free};
}

// After the last certificate of a file; what else has ended the reading is an error.
void expect_end(const std::string& file) {
  if (ERR_GET_REASON(ERR_peek_last_error()) != PEM_R_NO_START_LINE) fail(file);
  ERR_clear_error();
}

void use_chain(SSL_CTX* context, const std::string& file) {
  const PemFile in = open_pem(file);
  const Certificate own(PEM_read_bio_X509_AUX(in.get(), nullptr, no_passphrase, nullptr),
                        X509_free);
  if (!own || SSL_CTX_use_certificate(context, own.get()) != 1 ||
      SSL_CTX_clear_chain_certs(context) != 1)
    fail(file);
  while (const Certificate next = next_certificate(in.get())) {
    if (SSL_CTX_add1_chain_cert(context, next.get()) != 1) fail(file);
  }
  expect_end(file);
}

bool use_key(SSL_CTX* context, const std::string& file) {
  const PemFile in = open_pem(file);
  const std::unique_ptr<EVP_PKEY, decltype(&EVP_PKEY_free)> key(
      PEM_read_bio_PrivateKey(in.get(), nullptr, no_passphrase, nullptr), EVP_PKEY_free);
  return key && SSL_CTX_use_PrivateKey(context, key.get()) == 1 &&
         SSL_CTX_check_private_key(context) == 1;
}

}  // namespace

void FreePem::operator()(BIO* in) const {
  BIO_free(in);
}

PemFile open_pem(const std::string& file) {
  if (const std::string why = base::why_unreadable(file); !why.empty())
    throw std::runtime_error(file + ": " + why);
  const std::string text = base::read_file(file);
  ERR_clear_error();
  PemFile in(BIO_new(BIO_s_mem()));
  const int size = static_cast<int>(text.size());
  if (!in || BIO_write(in.get(), text.data(), size) != size) {
    if (size != 0) fail(file);
  }
  return in;
}

std::int64_t unix_time(const ASN1_TIME* t) {
  int days = 0;
  int seconds = 0;
  const std::unique_ptr<ASN1_TIME, decltype(&ASN1_STRING_free)> epoch(ASN1_TIME_set(nullptr, 0),
                                                                      ASN1_STRING_free);
  if (ASN1_TIME_diff(&days, &seconds, epoch.get(), t) != 1) return 0;
  return std::int64_t{days} * 86'400 + seconds;
}

std::int64_t expiry_of(const X509* certificate) {
  return unix_time(X509_get0_notAfter(certificate));
}

void never_ask_for_passphrases() {
  static UI_METHOD* const refuses = UI_create_method("no terminal");
  UI_method_set_reader(refuses, [](UI*, UI_STRING*) { return -1; });
  UI_set_default_method(refuses);
}

std::string tls_error() {
  const unsigned long code = ERR_get_error();
  ERR_clear_error();
  if (code == 0) return "unknown error";
  if (ERR_SYSTEM_ERROR(code)) {
    const int error = ERR_GET_REASON(code);
    const bool forbidden = error == EACCES || error == EPERM;
    return std::strerror(error) +
           (forbidden ? " (as user " + std::to_string(::geteuid()) + ")" : std::string());
  }
  if (const char* reason = ERR_reason_error_string(code)) return reason;
  char text[256] = "";
  ERR_error_string_n(code, text, sizeof text);
  return text;
}

std::int64_t use_certificate(SSL_CTX* context, const std::string& cert_file,
                             const std::string& key_file) {
  ERR_clear_error();
  SSL_CTX_set_default_passwd_cb(context, no_passphrase);
  use_chain(context, cert_file);
  if (!use_key(context, key_file)) {
    const std::string why = tls_error();
    const bool other = why.find("mismatch") != std::string::npos;
    throw std::runtime_error(key_file + (other ? ": not the key of " + cert_file : "") + ": " +
                             why);
  }
  std::int64_t earliest = expiry_of(SSL_CTX_get0_certificate(context));
  STACK_OF(X509)* chain = nullptr;
  SSL_CTX_get0_chain_certs(context, &chain);
  for (int i = 0; i < sk_X509_num(chain); ++i)
    earliest = std::min(earliest, expiry_of(sk_X509_value(chain, i)));
  return earliest;
}

std::int64_t earliest_expiry(const std::string& file) {
  return use_authorities(nullptr, file);
}

std::int64_t use_authorities(SSL_CTX* context, const std::string& file) {
  const PemFile in = open_pem(file);
  std::int64_t earliest = kNever;
  while (const Certificate cert = next_certificate(in.get())) {
    earliest = std::min(earliest, expiry_of(cert.get()));
    if (context != nullptr && X509_STORE_add_cert(SSL_CTX_get_cert_store(context), cert.get()) != 1)
      fail(file);
  }
  if (earliest == kNever) fail(file);
  ERR_clear_error();
  return earliest;
}

std::string with_setting(const std::string& why, const std::string& section,
                         const std::vector<NamedSetting>& settings) {
  for (const auto& [setting, path] : settings) {
    if (!path.empty() && why.starts_with(path + ":")) return section + "." + setting + ": " + why;
  }
  return why.starts_with(section + ".") ? why : section + ": " + why;
}

void log_certificates(const char* what, const std::vector<CertificateExpiry>& all) {
  for (const CertificateExpiry& c : all) {
    const std::time_t at = c.not_after_s;
    std::tm utc{};
    char text[32] = "never";
    if (c.not_after_s != kNever && gmtime_r(&at, &utc) != nullptr)
      std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &utc);
    BERTH_LOG(info, "{} certificate={} not_after={}", what, c.name, text);
  }
}

}  // namespace berth::gateway::runtime
