// The format in which an uplink sends Envelopes. Plain function; any thread.
#pragma once

#include "gateway/uplink/sink.h"
#include "gateway/uplink/uplink_config.h"

namespace berth::gateway::uplink {

// An Envelope becomes the other format, and its Content Type with it. What is no Envelope stays as
// it is. About 10 us for an Envelope of another format; else nothing.
void reformat(Format format, Upward& m);

}  // namespace berth::gateway::uplink
