// The commands of a product as data (registry.proto, Product.commands): which types its devices are
// told in a vendor's words, in which class and bounds, and how the vendor's answers are known.
// Immutable; any thread.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "gateway/registry/command_text.h"
#include "gateway/registry/command_types.h"
#include "gateway/registry/registry.pb.h"

namespace berth::gateway::registry {

// What a device says came of a command.
struct CommandAnswer {
  // Empty: the vendor's answers have no id; the one command of `type` that is under way is meant.
  std::string command_id;
  std::string type;                         // canonical; empty: not known, the id says which
  std::string child;                        // behind the device
  std::string outcome = "OUTCOME_UNKNOWN";  // a name of Outcome in protocol/messages/envelope.proto
  std::string code, text;
};

class CommandRule {
 public:
  // Throws BadProfile.
  explicit CommandRule(const pb::CommandRule& rule);
  ~CommandRule();
  CommandRule(CommandRule&&) noexcept;

  const std::string& name() const { return name_; }  // as the product has it
  const std::string& type() const { return type_; }  // canonical
  CommandClass delivery() const { return delivery_; }
  const CommandBounds& bounds() const { return bounds_; }
  std::uint8_t qos() const { return qos_; }
  bool fits(std::string_view firmware) const;
  bool every_firmware() const { return firmware_.empty(); }
  bool in_vendors_words() const { return topic_.has_value(); }
  bool has_reply() const { return reply_ != nullptr; }
  base::Charset charset() const { return charset_; }  // of the payload, and of the answer

  // `topic` as the device calls it. REQUIRES: in_vendors_words(). False: `why`.
  bool render(const CommandFill& fill, std::string& topic, std::string& payload,
              std::string& why) const;
  // A filter that each topic matches that this is sent to; empty: not in vendors' words.
  const std::string& topic_filter() const { return topic_filter_; }
  bool answers_on(std::string_view topic, std::string_view device, std::string_view site) const;
  // REQUIRES: has_reply(). Nothing: it is another message than an answer to this type.
  std::optional<CommandAnswer> answer(const boost::json::value& payload) const;

 private:
  struct Reply;
  void set_bounds(const pb::CommandRule& rule);
  void set_text(const pb::CommandRule& rule);

  std::string name_, type_;
  CommandClass delivery_ = CommandClass::immediate;
  CommandBounds bounds_;
  std::uint8_t qos_ = 0;
  std::vector<std::string> firmware_;  // patterns; none: every
  std::optional<CommandText> topic_, payload_;
  std::string topic_filter_;
  base::Charset charset_ = base::Charset::utf8;
  std::map<std::string, std::string, std::less<>> values_;
  std::unique_ptr<const Reply> reply_;  // null: none
};

class CommandRules {
 public:
  // Throws BadProfile.
  explicit CommandRules(const pb::Product& product);

  // The first of this type for this firmware, or for whichever; one of this very name goes before
  // an alias. Null: none.
  const CommandRule* find(std::string_view said, std::optional<std::string_view> firmware) const;
  bool has(std::string_view said) const;  // for some firmware
  bool can(std::string_view canonical) const;
  // The shortest bounds of the rules whose commands go to this topic; nothing: none does.
  std::optional<CommandBounds> told_on(std::string_view topic) const;
  bool answers() const { return answers_; }
  // What a message that a device publishes says of a command. Nothing: it is no answer.
  std::optional<CommandAnswer> answer(std::string_view topic, std::string_view device,
                                      std::string_view site, std::string_view payload) const;
  enum class Form : std::uint8_t { json, protobuf, plain };
  Form form() const { return form_; }

 private:
  std::vector<CommandRule> rules_;
  std::vector<std::string> capabilities_;  // canonical; none: all
  bool answers_ = false;
  Form form_ = Form::json;
};

// '*' stands for any text, also for none.
bool matches_pattern(std::string_view pattern, std::string_view text);

}  // namespace berth::gateway::registry
