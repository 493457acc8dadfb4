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

namespace berth::gateway::runtime {
namespace {

constexpr std::int64_t kNever = std::numeric_limits<std::int64_t>::max();

[[noreturn]] void fail(const std::string& file) {
  throw std::runtime_error(file + ": " + tls_error());
}

int no_passphrase(char*, int, int, void*) {
  return -1;
}

}  // namespace

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
  if (SSL_CTX_use_certificate_chain_file(context, cert_file.c_str()) != 1) fail(cert_file);
  if (SSL_CTX_use_PrivateKey_file(context, key_file.c_str(), SSL_FILETYPE_PEM) != 1 ||
      SSL_CTX_check_private_key(context) != 1) {
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
  ERR_clear_error();
  const std::unique_ptr<BIO, decltype(&BIO_free)> in(BIO_new_file(file.c_str(), "r"), BIO_free);
  if (!in) fail(file);
  std::int64_t earliest = kNever;
  for (;;) {
    const std::unique_ptr<X509, decltype(&X509_free)> cert(
        PEM_read_bio_X509(in.get(), nullptr, no_passphrase, nullptr), X509_free);
    if (!cert) break;
    earliest = std::min(earliest, expiry_of(cert.get()));
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
