#include "gateway/rest/account_ask.h"

#include <boost/json.hpp>
#include <memory>

#include "gateway/admin/problem.h"

namespace berth::gateway::registry {

namespace json = boost::json;
using admin::Claim;
using admin::ClaimAnswer;
using protocol::link::AskError;

namespace {

constexpr std::uint32_t kLimit_ms = 5000;

ClaimAnswer unavailable(std::string why) {
  ClaimAnswer a;
  a.refusal = admin::problem(admin::codes::kUnavailable,
                             "no engine can be asked about the credential; try again");
  a.refusal.headers["Retry-After"] = "1";
  a.why = std::move(why);
  return a;
}

// Null: it is no object.
json::value parsed(const std::string& bytes) {
  json::error_code ec;
  json::value v = json::parse(bytes, ec);
  return ec || !v.is_object() ? json::value() : v;
}

std::string text_at(const json::object& o, const char* name) {
  const json::value* v = o.if_contains(name);
  return v != nullptr && v->is_string() ? std::string(v->get_string()) : std::string();
}

bool flag_at(const json::object& o, const char* name) {
  const json::value* v = o.if_contains(name);
  return v != nullptr && v->is_bool() && v->get_bool();
}

}  // namespace

std::string encode_claim(const Claim& c) {
  return json::serialize(json::object{{"authorization", c.authorization},
                                      {"method", c.method},
                                      {"target", c.target},
                                      {"address", c.address},
                                      {"session", c.session},
                                      {"again", c.again}});
}

bool decode_claim(const std::string& bytes, Claim& out) {
  const json::value v = parsed(bytes);
  if (!v.is_object()) return false;
  const json::object& o = v.get_object();
  out = {text_at(o, "authorization"), text_at(o, "method"),  text_at(o, "target"),
         text_at(o, "address"),       flag_at(o, "session"), flag_at(o, "again")};
  return true;
}

std::string encode_answer(const ClaimAnswer& a) {
  json::object o{{"why", a.why}, {"body_sha256", a.body_sha256}};
  if (a.caller) {
    const admin::Caller& c = *a.caller;
    o["id"] = c.id;
    o["tenant"] = c.tenant;
    o["operator"] = c.kind == admin::Caller::Kind::operator_;
    o["sites"] = json::array(c.sites.begin(), c.sites.end());
    o["read"] = c.may_read;
    o["change"] = c.may_change;
    o["command"] = c.may_command;
    o["plates"] = c.may_see_plates;
  } else {
    const auto wait = a.refusal.headers.find("Retry-After");
    o["status"] = a.refusal.status;
    o["content_type"] = a.refusal.content_type;
    o["body"] = a.refusal.body;
    if (wait != a.refusal.headers.end()) o["retry_after"] = wait->second;
  }
  return json::serialize(o);
}

bool decode_answer(const std::string& bytes, ClaimAnswer& out) {
  const json::value v = parsed(bytes);
  if (!v.is_object()) return false;
  const json::object& o = v.get_object();
  out.why = text_at(o, "why");
  out.body_sha256 = text_at(o, "body_sha256");
  const json::value* status = o.if_contains("status");
  if (status != nullptr) {
    out.refusal = {status->is_int64() ? static_cast<int>(status->get_int64()) : 503,
                   text_at(o, "content_type"),
                   text_at(o, "body"),
                   {}};
    if (o.contains("retry_after")) out.refusal.headers["Retry-After"] = text_at(o, "retry_after");
    return out.refusal.status >= 400;
  }
  admin::Caller c{.kind = flag_at(o, "operator") ? admin::Caller::Kind::operator_
                                                 : admin::Caller::Kind::service,
                  .id = text_at(o, "id"),
                  .tenant = text_at(o, "tenant"),
                  .may_read = flag_at(o, "read"),
                  .may_change = flag_at(o, "change"),
                  .may_command = flag_at(o, "command"),
                  .may_see_plates = flag_at(o, "plates")};
  const json::value* sites = o.if_contains("sites");
  if (sites == nullptr || !sites->is_array() || c.id.empty() || c.tenant.empty()) return false;
  for (const json::value& site : sites->get_array()) {
    if (!site.is_string()) return false;
    c.sites.emplace_back(site.get_string());
  }
  out.caller = std::move(c);
  return true;
}

namespace {

void ask(const link::Asker& asker, const Claim& claim,
         const std::function<void(ClaimAnswer)>& done) {
  asker.ask_partition(0, {protocol::link::AskKind::check_account, kLimit_ms, encode_claim(claim)},
                      [done](const link::Answer& a) {
                        ClaimAnswer answer;
                        if (a.error != AskError::none)
                          return done(unavailable(protocol::link::name_of(a.error)));
                        if (!decode_answer(a.bytes, answer))
                          return done(unavailable("the engine's answer is not understood"));
                        done(std::move(answer));
                      });
}

boost::asio::awaitable<ClaimAnswer> ask_home(admin::HomeLoop home, const link::Asker* asker,
                                             Claim claim) {
  std::function<void(admin::HomeLoop::Done<ClaimAnswer>)> start =
      [asker, claim = std::move(claim)](const admin::HomeLoop::Done<ClaimAnswer>& done) {
        ask(*asker, claim, done);
      };
  std::optional<ClaimAnswer> a = co_await home.ask<ClaimAnswer>(std::move(start));
  if (a) co_return std::move(*a);
  co_return unavailable("the edge's loop does not answer");
}

}  // namespace

admin::AccountCheck remote_accounts(admin::HomeLoop home, const link::Asker& asker) {
  return [home, asker = &asker](Claim claim) { return ask_home(home, asker, std::move(claim)); };
}

void answer_claim(ApiAccounts* accounts, const protocol::link::Question& q,
                  link::Answered answered) {
  Claim claim;
  if (accounts == nullptr || !decode_claim(q.bytes, claim)) {
    ClaimAnswer no;
    no.why = accounts == nullptr ? "there is no registry" : "the credential is not UTF-8";
    no.refusal = admin::problem(admin::codes::kUnauthorized, no.why);
    return answered({AskError::none, encode_answer(no)});
  }
  accounts->decide(std::move(claim), [answered = std::move(answered)](const ClaimAnswer& a) {
    answered({AskError::none, encode_answer(a)});
  });
}

}  // namespace berth::gateway::registry
