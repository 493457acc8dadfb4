// Who makes spans of commands (docs/operations.md, "Tracing"). Called on the shard's thread; must
// not block.
#pragma once

namespace berth::platform {

struct Entry;

class CommandTraces {
 public:
  // Is the command sampled?
  virtual bool wants(const Entry& e) const = 0;
  // It has its outcome, which is durable: so an engine that dies before makes no span of a command
  // that the next one ends otherwise. One that dies now leaves a command without spans.
  virtual void ended(const Entry& e) = 0;

 protected:
  ~CommandTraces() = default;
};

}  // namespace berth::platform
