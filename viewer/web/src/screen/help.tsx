import { useSignalEffect, type Signal } from '@preact/signals';
import { useRef } from 'preact/hooks';

const KEYS: readonly (readonly [string, string])[] = [
  ['F5, F8 or Ctrl+\\', 'Continue (F5 only while something is stopped)'],
  ['F6, F8 or Ctrl+\\', 'Pause'],
  ['F10 or Ctrl+’', 'Step over'],
  ['F11 or Ctrl+;', 'Step into'],
  ['Shift+F11 or Ctrl+Shift+;', 'Step out'],
  ['F9 in the source', 'Breakpoint on the line of the cursor'],
  ['Ctrl+Shift+F9 in the source', 'Probe on the line of the cursor; also by a right click beside a line'],
  ['Ctrl+F in the source', 'Find'],
  ['Ctrl+`', 'Console; Enter evaluates, Shift+Enter begins a line, Up and Down are its history'],
  ['/', 'Filter processes'],
  ['Arrows, j and k', 'Next and previous process, in the list'],
  ['Esc', 'One step back: from a recorded session to all, from the history to now, from a process to all'],
];

export function Help({ open }: { open: Signal<boolean> }) {
  const dialog = useRef<HTMLDialogElement>(null);
  useSignalEffect(() => {
    if (open.value && dialog.current?.open === false) dialog.current.showModal();
  });
  return (
    <dialog ref={dialog} aria-label="Keys and help" onClose={() => (open.value = false)}>
      <h2>Keys</h2>
      <table>
        <tbody>
          {KEYS.map(([keys, what]) => (
            <tr key={what}>
              <td>
                <kbd>{keys}</kbd>
              </td>
              <td>{what}</td>
            </tr>
          ))}
        </tbody>
      </table>
      <h2>What stops, and what does not</h2>
      <p>
        Looking at metrics, source and stacks stops nothing. A breakpoint, Pause and the console begin a debug session,
        which everybody sees; Stop debugging ends yours, and the program runs on.
      </p>
      <p>
        A probe stops nothing either: it logs, counts, times, or takes a snapshot where the program passes, in as many
        processes as you say, until it expires. It holds a limit of hits, a rate and a budget of CPU, and says so.
      </p>
      <h2>What there was</h2>
      <p>
        History has the debug sessions and events that the broker remembers, if it keeps a history. A session can be
        gone through step by step, and saved as a file. Give a session a name beside the buttons before it begins: you
        find it by that.
      </p>
      <h2>Who drives, and for how long</h2>
      <p>
        One viewer of a process drives: continues, steps and pauses. Whoever does so first takes the free seat; others
        ask for it. What stands runs on by itself when nobody stays: the countdown says when. This page keeps it
        standing while it is open and you drive, or nobody does.
      </p>
      <form method="dialog">
        <button>Close</button>
      </form>
    </dialog>
  );
}
