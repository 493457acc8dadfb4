// Who has logged in.
import { computed, ref } from 'vue';
import type { Session } from './api';

export const session = ref<Session>();
export const isAdmin = computed(() => session.value?.kind === 'admin');
export const mayChange = computed(() => session.value?.may.change ?? false);
export const mayCommand = computed(() => session.value?.may.command ?? false);
// Why the log-in is shown, if there is something to say.
export const loginNotice = ref<'sessionEnded' | 'logoutNotStored'>();
