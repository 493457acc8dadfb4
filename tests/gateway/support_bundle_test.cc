// What goes into a support bundle: an archive that tar reads, and nothing that is secret.
#include <gtest/gtest.h>

#include <boost/json.hpp>
#include <string>

#include "gateway/ctl/archive.h"
#include "gateway/ctl/redaction.h"

namespace berth::gateway {
namespace {

namespace json = boost::json;

json::value value_of(const std::string& text) {
  return json::parse(text);
}

TEST(Archive, IsUstar) {
  Archive a(1'795'953'600);
  a.add("manifest.txt", "hello");
  a.add("empty.txt", "");
  a.add("block.txt", std::string(512, 'x'));
  const std::string tar = a.tar();
  ASSERT_EQ(tar.size(), 512u * (2 + 1 + 2 + 2));
  EXPECT_EQ(tar.substr(0, 13), std::string("manifest.txt\0", 13));
  EXPECT_EQ(tar.substr(100, 8), std::string("0000600\0", 8));
  EXPECT_EQ(tar.substr(124, 12), std::string("00000000005\0", 12));
  EXPECT_EQ(tar.substr(136, 12), std::string("15303011700\0", 12)) << "octal";
  EXPECT_EQ(tar.substr(257, 8), std::string("ustar\00000", 8));
  std::uint32_t sum = 0;
  for (std::size_t i = 0; i < 512; ++i)
    sum += i >= 148 && i < 156 ? ' ' : static_cast<unsigned char>(tar[i]);
  EXPECT_EQ(std::stoul(tar.substr(148, 6), nullptr, 8), sum);
  EXPECT_EQ(tar.substr(512, 6), std::string("hello\0", 6));
  EXPECT_EQ(tar.substr(tar.size() - 1024), std::string(1024, '\0'));
  EXPECT_EQ(a.gzipped().substr(0, 2), "\x1f\x8b");
}

TEST(Redaction, LogInsInUrlsAreReplaced) {
  Redaction r(false);
  EXPECT_EQ(r.text("at redis://:p@ss@10.0.0.1:6379/0, and rediss://u:p@h"),
            "at redis://***@10.0.0.1:6379/0, and rediss://***@h");
  EXPECT_EQ(r.text("redis://10.0.0.1:6379 mail a@b"), "redis://10.0.0.1:6379 mail a@b");
  EXPECT_EQ(r.text("://"), "://");
  EXPECT_EQ(r.text("http://***@h"), "http://***@h");
  EXPECT_EQ(r.replaced(), 2u);
}

TEST(Redaction, KnownSecretsAreReplacedWhereverTheyStand) {
  Redaction r(false, {"s3cret", ""});
  EXPECT_EQ(r.text("s3cret and s3crets3cret"), "*** and ******");
}

TEST(Redaction, NumberPlatesAreReplaced) {
  Redaction r(false);
  EXPECT_EQ(r.text("京A12345"), "(plate)");
  EXPECT_EQ(r.text("car 粤B·D12345, 沪C-88888x"), "car (plate), (plate)");
  EXPECT_EQ(r.text("车道1 京A 京"), "车道1 京A 京") << "no plates";
  EXPECT_EQ(r.text("北京A12345"), "北(plate)");
  EXPECT_EQ(r.text("\xe4\xba"), "\xe4\xba") << "half a character";
}

TEST(Redaction, MembersThatAreSecretAreLeftOutAndPathsAreNot) {
  Redaction r(false);
  const json::value out = r.json(value_of(
      R"({"password":"p","auth.password_file":"/etc/users","mqtts.key_file":"/k","key":"k",
          "payload":{"a":1},"signature":"x","tokens":3,
          "inner":[{"admin_token":"t","plate":"x"}],"display_name":"x","keep_alive":"60",
          "registry.password_iterations":"9"})"));
  EXPECT_EQ(out, value_of(R"x({"password":"(left out)","auth.password_file":"/etc/users",
          "mqtts.key_file":"/k","key":"(left out)","payload":"(left out)",
          "signature":"(left out)","tokens":3,
          "inner":[{"admin_token":"(left out)","plate":"(left out)"}],
          "display_name":"(left out)","keep_alive":"60",
          "registry.password_iterations":"9"})x"));
  EXPECT_EQ(r.replaced(), 7u);
}

TEST(Redaction, NamesBecomeNumbersThatStayTheSame) {
  Redaction r(true);
  const json::value list =
      value_of(R"({"items":[{"device":"cam","address":"192.0.2.7","ends":3},{"device":"cam"},
                 {"client_id":"x","addresses":["192.0.2.7:1"]}]})");
  EXPECT_EQ(json::serialize(r.json_of_devices(list)),
            R"({"items":[{"device":"name-1","address":"name-2","ends":3},{"device":"name-1"},)"
            R"({"client_id":"name-3","addresses":["name-2"]}]})");
  Redaction shown(false);
  EXPECT_EQ(json::serialize(shown.json_of_devices(list)), json::serialize(list));
}

// Somebody types the password where the user name belongs.
TEST(Redaction, NamesThatAreNotRegisteredAreNeverShown) {
  Redaction r(false);
  const std::string out = json::serialize(
      r.json_of_refused(value_of(R"({"items":[{"name":"typed-password","client_id":"c","count":1},
                 {"tenant":"acme","name":"other-password@acme"},
                 {"tenant":"acme","site":"north","name":"cam@acme","count":2}]})")));
  EXPECT_EQ(out.find("typed-password"), std::string::npos) << out;
  EXPECT_EQ(out.find("other-password"), std::string::npos) << out;
  EXPECT_NE(out.find("cam@acme"), std::string::npos) << out;
}

TEST(Redaction, AnEventKeepsOnlyWhatHappened) {
  Redaction r(false);
  EXPECT_EQ(json::serialize(r.event(
                value_of(R"({"at":"t","type":"command","device":"gate","site":"n","cause":"open",
              "detail":"FAILED plate-B77777","command":"plate-B77777","display_name":"x"})")
                    .as_object())),
            R"({"at":"t","type":"command","site":"n","device":"gate","cause":"open",)"
            R"("detail":"FAILED"})");
}

}  // namespace
}  // namespace berth::gateway
