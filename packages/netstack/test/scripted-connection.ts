import type { StackOptions } from '../src/stack.ts';
import { ScriptedPeer } from './scripted-peer.ts';
import { connectUser, listenUsers, RecordingUser } from './simulated-network.ts';

export function listening(
  o: Partial<StackOptions> & { v6?: boolean } = {},
  make = () => new RecordingUser(),
) {
  const peer = new ScriptedPeer(o);
  const users = listenUsers(peer.stack, 80, () => {
    const user = make();
    user.endAfterWrite = false;
    return user;
  });
  return { peer, users };
}

export function connecting(o: Partial<StackOptions> & { v6?: boolean } = {}) {
  const peer = new ScriptedPeer(o);
  peer.stackPort = 50_000;
  peer.peerPort = 80;
  const user = new RecordingUser();
  user.endAfterWrite = false;
  connectUser(peer.stack, user, { host: peer.peerAddress, port: 80, localPort: 50_000 });
  return { peer, user };
}

export function states(peer: ScriptedPeer): string[] {
  return peer.stack
    .sockets()
    .filter((row) => row.state !== 'LISTEN')
    .map((row) => row.state);
}
