// berth-load reports: the same Envelope from devices over MQTT (QoS 1) or over the Park protocol.
#pragma once

namespace berth::load {

int reports();

}  // namespace berth::load
