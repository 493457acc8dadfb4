// What `openssl x509` can't make: certificates that end within seconds, and revocation lists.
// Signed with NAME.crt and NAME.key of a test's Certificates.
#pragma once

#include <openssl/pem.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include <cstdio>
#include <stdexcept>
#include <string>

namespace berth::test {

class Signer {
 public:
  explicit Signer(const std::string& path)  // without ".crt", ".key"
      : cert_(read<X509>(path + ".crt", PEM_read_X509)),
        key_(read<EVP_PKEY>(path + ".key", PEM_read_PrivateKey)) {}
  ~Signer() {
    X509_free(cert_);
    EVP_PKEY_free(key_);
  }
  Signer(const Signer&) = delete;
  Signer& operator=(const Signer&) = delete;

  // Makes path.crt end after so many seconds: the same key and names, signed again.
  void end_after(const std::string& path, long seconds) const {
    X509* c = read<X509>(path + ".crt", PEM_read_X509);
    X509_gmtime_adj(X509_getm_notAfter(c), seconds);
    ASN1_INTEGER_set(X509_get_serialNumber(c), seconds + 1000);
    const bool good = X509_sign(c, key_, EVP_sha256()) != 0;
    write(
        path + ".crt", [c](std::FILE* f) { return PEM_write_X509(f, c); }, good);
    X509_free(c);
  }
  // A list that revokes path.crt; empty: nobody.
  void revoke(const std::string& path, const std::string& list) const {
    X509_CRL* crl = X509_CRL_new();
    X509_CRL_set_version(crl, 1);
    X509_CRL_set_issuer_name(crl, X509_get_subject_name(cert_));
    ASN1_TIME* t = X509_gmtime_adj(nullptr, -60);
    X509_CRL_set1_lastUpdate(crl, t);
    if (!path.empty()) {
      X509* c = read<X509>(path + ".crt", PEM_read_X509);
      X509_REVOKED* r = X509_REVOKED_new();
      X509_REVOKED_set_serialNumber(r, X509_get_serialNumber(c));
      X509_REVOKED_set_revocationDate(r, t);
      X509_CRL_add0_revoked(crl, r);
      X509_free(c);
    }
    X509_gmtime_adj(t, 86'400);
    X509_CRL_set1_nextUpdate(crl, t);
    ASN1_TIME_free(t);
    X509_CRL_sort(crl);
    const bool good = X509_CRL_sign(crl, key_, EVP_sha256()) != 0;
    write(
        list, [crl](std::FILE* f) { return PEM_write_X509_CRL(f, crl); }, good);
    X509_CRL_free(crl);
  }

 private:
  template <class T, class Read>
  static T* read(const std::string& file, Read pem) {
    std::FILE* f = std::fopen(file.c_str(), "r");
    T* t = f == nullptr ? nullptr : pem(f, nullptr, nullptr, nullptr);
    if (f != nullptr) std::fclose(f);
    if (t == nullptr) throw std::runtime_error(file);
    return t;
  }
  template <class Write>
  static void write(const std::string& file, Write pem, bool good) {
    const std::string draft = file + ".draft";
    std::FILE* f = std::fopen(draft.c_str(), "w");
    good = good && f != nullptr && pem(f) == 1;
    if (f != nullptr) std::fclose(f);
    if (!good || std::rename(draft.c_str(), file.c_str()) != 0) throw std::runtime_error(file);
  }
  X509* cert_;
  EVP_PKEY* key_;
};

}  // namespace berth::test
