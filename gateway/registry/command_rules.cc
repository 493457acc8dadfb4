#include "gateway/registry/command_rules.h"

#include <algorithm>
#include <boost/json.hpp>

#include "gateway/registry/bad_profile.h"
#include "gateway/registry/profile.h"
#include "gateway/registry/records.h"
#include "protocol/messages/envelope.pb.h"
#include "protocol/mqtt/topic.h"
#include "protocol/park/control.h"

namespace berth::gateway::registry {

namespace json = boost::json;

namespace {

constexpr int kCommandRulesMax = 64;
constexpr int kFirmwareMax = 16;  // patterns of a rule
constexpr std::size_t kPatternMax = 64;
constexpr std::size_t kPayloadMax = 4096;
constexpr std::size_t kReplyValuesMax = 64;
constexpr std::size_t kWhereMax = 8;
constexpr std::size_t kTextMax = 256;           // bytes kept of a vendor's code and words
constexpr std::size_t kReplyParsedMax = 65536;  // bytes of an answer; greater ones are none
constexpr std::uint32_t kResultMax_ms = 10 * 60 * 1000;
constexpr const char* kAnyOther = "*";

[[noreturn]] void bad_rule(const std::string& why) {
  throw BadProfile(why);
}

void check_pointer(const std::string& pointer) {
  if (!pointer.empty() && pointer.front() != '/') bad_rule("'" + pointer + "' is no JSON pointer");
}

// Empty: nothing is there, or no single value.
std::string text_at(const json::value& v, const std::string& pointer) {
  if (pointer.empty()) return {};
  json::error_code ec;
  const json::value* at = v.find_pointer(pointer, ec);
  if (at == nullptr || at->is_null() || at->is_structured()) return {};
  return at->is_string() ? std::string(at->get_string()) : json::serialize(*at);
}

// Cut where a character ends.
std::string shortened(std::string text) {
  if (!protocol::mqtt::valid_utf8(text)) return {};
  if (text.size() <= kTextMax) return text;
  std::size_t end = kTextMax;
  while (end != 0 && (static_cast<unsigned char>(text[end]) & 0xc0) == 0x80) --end;
  text.resize(end);
  return text;
}

// Nothing: it is no JSON. `charset`: of an answer that is not UTF-8.
std::optional<json::value> read_answer(std::string_view payload, base::Charset charset) {
  std::optional<std::string> text;
  if (charset != base::Charset::utf8 && !base::is_utf8(payload))
    text = base::to_utf8(charset, payload);
  json::error_code ec;
  json::value v = json::parse(text ? std::string_view(*text) : payload, ec);
  return ec ? std::nullopt : std::optional(std::move(v));
}

void check_outcome(const std::string& name) {
  v1::Outcome o{};
  if (!v1::Outcome_Parse(name, &o) || o == v1::NOT_DELIVERED)
    bad_rule("'" + name + "' is no outcome that a device has");
}

}  // namespace

bool matches_pattern(std::string_view pattern, std::string_view text) {
  std::size_t p = 0;
  std::size_t star = std::string_view::npos;  // the last '*', and how far it reaches
  std::size_t reach = 0;
  for (std::size_t t = 0; t < text.size();) {
    if (p < pattern.size() && pattern[p] == '*') {
      star = p++;
      reach = t;
    } else if (p < pattern.size() && pattern[p] == text[t]) {
      ++p;
      ++t;
    } else if (star != std::string_view::npos) {
      p = star + 1;
      t = ++reach;
    } else {
      return false;
    }
  }
  return pattern.find_first_not_of('*', p) == std::string_view::npos;
}

struct CommandRule::Reply {
  explicit Reply(const pb::CommandReply& r)
      : topic(r.topic()),
        command_id(r.command_id()),
        outcome_from(r.outcome().from()),
        outcome_value(r.outcome().value()),
        outcomes(r.outcome().values().begin(), r.outcome().values().end()),
        code(r.code()),
        text(r.text()),
        where(r.where().begin(), r.where().end()) {
    if (!protocol::mqtt::valid_topic_filter(topic) || topic.starts_with('$'))
      bad_rule("reply: '" + topic + "' is no topic filter");
    if (outcome_from.empty() == outcome_value.empty())
      bad_rule("reply: `outcome` needs either `from` or `value`");
    if (outcomes.size() > kReplyValuesMax) bad_rule("reply: more than 64 values");
    if (where.size() > kWhereMax) bad_rule("reply: more than 8 conditions in `where`");
    for (const std::string& pointer : {command_id, outcome_from, code, text})
      check_pointer(pointer);
    for (const auto& [pointer, wanted] : where) check_pointer(pointer);
    if (!outcome_value.empty()) check_outcome(outcome_value);
    for (const auto& [from, to] : outcomes) check_outcome(to);
    if (!outcome_from.empty() && outcomes.empty()) bad_rule("reply: `outcome` needs `values`");
  }
  std::string outcome_of(const json::value& v) const {
    if (outcome_from.empty()) return outcome_value;
    auto known = outcomes.find(text_at(v, outcome_from));
    if (known == outcomes.end()) known = outcomes.find(kAnyOther);
    return known == outcomes.end() ? "OUTCOME_UNKNOWN" : known->second;
  }

  std::string topic, command_id;
  std::string outcome_from, outcome_value;
  std::map<std::string, std::string> outcomes;
  std::string code, text;
  std::map<std::string, std::string> where;
};

CommandRule::CommandRule(const pb::CommandRule& rule)
    : name_(rule.name()), type_(canonical_type(rule.name())) {
  if (!valid_name(name_)) bad_rule("command '" + name_ + "' is no name");
  set_bounds(rule);
  set_text(rule);
  if (rule.firmware_size() > kFirmwareMax)
    bad_rule("command '" + name_ + "': more than 16 firmwares");
  for (const std::string& pattern : rule.firmware()) {
    if (pattern.empty() || pattern.size() > kPatternMax)
      bad_rule("command '" + name_ + "': a firmware has 1 to 64 bytes");
    firmware_.push_back(pattern);
  }
  if (!rule.has_reply()) return;
  try {
    reply_ = std::make_unique<const Reply>(rule.reply());
  } catch (const BadProfile& e) {
    bad_rule("command '" + name_ + "': " + e.what());
  }
}
CommandRule::~CommandRule() = default;
CommandRule::CommandRule(CommandRule&&) noexcept = default;

void CommandRule::set_bounds(const pb::CommandRule& rule) {
  const std::string of = "command '" + name_ + "': ";
  const CommandType* type = find_type(type_);
  delivery_ = type != nullptr ? type->delivery : CommandClass::immediate;
  if (!rule.delivery().empty()) {
    const auto c = class_named(rule.delivery());
    if (!c)
      bad_rule(of + "delivery '" + rule.delivery() +
               "' is none of immediate, latest, queued, must, desired");
    if (type != nullptr && !may_deliver(*type, *c))
      bad_rule(of + "'" + type_ + "' is delivered as " + name_of(type->delivery) + ", never as " +
               name_of(*c));
    delivery_ = *c;
  }
  bounds_ = type != nullptr && delivery_ == type->delivery ? type->bounds : bounds_of(delivery_);
  if (rule.ttl_max_ms() > bounds_.ttl_max_ms)
    bad_rule(of + "ttl_max_ms is at most " + std::to_string(bounds_.ttl_max_ms));
  if (rule.ttl_max_ms() != 0) bounds_.ttl_max_ms = rule.ttl_max_ms();
  if (rule.ttl_ms() > bounds_.ttl_max_ms)
    bad_rule(of + "ttl_ms is at most " + std::to_string(bounds_.ttl_max_ms));
  bounds_.ttl_ms =
      rule.ttl_ms() != 0 ? rule.ttl_ms() : std::min(bounds_.ttl_ms, bounds_.ttl_max_ms);
  if (rule.result_ms() > kResultMax_ms)
    bad_rule(of + "result_ms is at most " + std::to_string(kResultMax_ms));
  if (rule.result_ms() != 0) bounds_.result_ms = rule.result_ms();
  qos_ = delivery_ == CommandClass::immediate ? 0 : 1;
  if (!rule.has_qos() || rule.qos() == qos_) return;
  if (qos_ == 0)
    bad_rule(of + "qos is 0 with immediate: MQTT sends a QoS 1 command again after a reconnect");
  if (rule.qos() > 1) bad_rule(of + "qos is 0 or 1");
  qos_ = 0;
}

void CommandRule::set_text(const pb::CommandRule& rule) {
  const std::string of = "command '" + name_ + "': ";
  if (rule.payload().size() > kPayloadMax) bad_rule(of + "more than 4096 bytes of payload");
  if (static_cast<std::size_t>(rule.values_size()) > kReplyValuesMax)
    bad_rule(of + "more than 64 values");
  if (!rule.charset().empty()) {
    const auto charset = base::charset_named(rule.charset());
    if (!charset) bad_rule(of + "charset '" + rule.charset() + "' is neither gbk nor gb18030");
    charset_ = *charset;
  }
  values_ = {rule.values().begin(), rule.values().end()};
  if (rule.topic().empty()) {
    if (!rule.payload().empty() || !rule.charset().empty() || rule.has_reply() || !values_.empty())
      bad_rule(of + "payload, charset, values and reply need a topic");
    return;
  }
  if (!protocol::mqtt::valid_topic_name(rule.topic()) || rule.topic().starts_with('$'))
    bad_rule("'" + rule.topic() + "' is no topic");
  try {
    topic_.emplace(rule.topic(), CommandText::Marks::of_topic);
    topic_filter_ = filter_of_pattern(rule.topic());
    payload_.emplace(rule.payload(), CommandText::Marks::all);
  } catch (const BadProfile& e) {
    bad_rule(of + e.what());
  }
}

std::optional<CommandBounds> CommandRules::told_on(std::string_view topic) const {
  std::optional<CommandBounds> shortest;
  for (const CommandRule& r : rules_) {
    if (!r.in_vendors_words() || !protocol::mqtt::filter_matches(r.topic_filter(), topic)) continue;
    if (!shortest || r.bounds().ttl_max_ms < shortest->ttl_max_ms) shortest = r.bounds();
  }
  return shortest;
}

bool CommandRule::fits(std::string_view firmware) const {
  return firmware_.empty() || std::any_of(firmware_.begin(), firmware_.end(), [&](const auto& p) {
           return matches_pattern(p, firmware);
         });
}

bool CommandRule::render(const CommandFill& fill, std::string& topic, std::string& payload,
                         std::string& why) const {
  const CommandText::How how{.charset = charset_, .values = &values_};
  if (!topic_->fill(fill, how, topic, why) || !payload_->fill(fill, how, payload, why))
    return false;
  if (charset_ == base::Charset::utf8) return true;
  auto bytes = base::from_utf8(charset_, payload);
  if (!bytes) why = "the payload has a character that the device's charset lacks";
  if (bytes) payload = std::move(*bytes);
  return bytes.has_value();
}

bool CommandRule::answers_on(std::string_view topic, std::string_view device,
                             std::string_view site) const {
  if (reply_ == nullptr) return false;
  const bool fixed = reply_->topic.find('%') == std::string::npos;
  return protocol::mqtt::filter_matches(
      fixed ? reply_->topic : substituted(reply_->topic, device, site), topic);
}

std::optional<CommandAnswer> CommandRule::answer(const json::value& payload) const {
  for (const auto& [pointer, wanted] : reply_->where) {
    if (text_at(payload, pointer) != wanted) return std::nullopt;
  }
  CommandAnswer a{.type = type_};
  if (!reply_->command_id.empty()) {
    a.command_id = text_at(payload, reply_->command_id);
    if (!protocol::park::is_name(a.command_id)) return std::nullopt;
  }
  a.outcome = reply_->outcome_of(payload);
  a.code = shortened(text_at(payload, reply_->code));
  a.text = shortened(text_at(payload, reply_->text));
  return a;
}

CommandRules::CommandRules(const pb::Product& product) {
  if (product.commands_size() > kCommandRulesMax) bad_rule("more than 64 commands");
  for (const auto& c : product.commands()) {
    CommandRule rule(c);
    for (const CommandRule& before : rules_) {
      if (before.name() == rule.name() && before.every_firmware())
        bad_rule("command '" + c.name() + "' twice");
    }
    answers_ = answers_ || rule.has_reply();
    rules_.push_back(std::move(rule));
  }
  if (product.capabilities_size() > kCommandRulesMax) bad_rule("more than 64 capabilities");
  for (const std::string& said : product.capabilities()) {
    if (find_type(canonical_type(said)) == nullptr && !has(said))
      bad_rule("capability '" + said + "' is neither a type of command nor one of `commands`");
    capabilities_.push_back(canonical_type(said));
  }
  const std::string& form = product.command_form();
  if (!form.empty() && form != "json" && form != "protobuf" && form != "plain")
    bad_rule("command_form '" + form + "' is none of json, protobuf, plain");
  form_ = form == "protobuf" ? Form::protobuf : form == "plain" ? Form::plain : Form::json;
}

const CommandRule* CommandRules::find(std::string_view said,
                                      std::optional<std::string_view> firmware) const {
  const auto fits = [&firmware](const CommandRule& r) { return !firmware || r.fits(*firmware); };
  for (const CommandRule& r : rules_) {
    if (r.name() == said && fits(r)) return &r;
  }
  const std::string type = canonical_type(said);
  for (const CommandRule& r : rules_) {
    if (r.type() == type && fits(r)) return &r;
  }
  return nullptr;
}

bool CommandRules::has(std::string_view said) const {
  const std::string type = canonical_type(said);
  return std::any_of(rules_.begin(), rules_.end(), [&](const auto& r) { return r.type() == type; });
}

bool CommandRules::can(std::string_view canonical) const {
  return capabilities_.empty() ||
         std::find(capabilities_.begin(), capabilities_.end(), canonical) != capabilities_.end();
}

std::optional<CommandAnswer> CommandRules::answer(std::string_view topic, std::string_view device,
                                                  std::string_view site,
                                                  std::string_view payload) const {
  if (!answers_ || payload.size() > kReplyParsedMax) return std::nullopt;
  std::optional<json::value> read;
  for (const CommandRule& r : rules_) {
    if (!r.answers_on(topic, device, site)) continue;
    if (!read) read = read_answer(payload, r.charset());
    if (!read) return std::nullopt;
    if (auto a = r.answer(*read)) return a;
  }
  return std::nullopt;
}

}  // namespace berth::gateway::registry
