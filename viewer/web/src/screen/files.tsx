import { useSignal } from '@preact/signals';
import { useEffect, useMemo, useRef } from 'preact/hooks';
import type { Presence, SourceFile } from '../wire';
import { useScreen } from './context';

const SHOWN = 200;

/** Chooses among the files that the process has imported, the application's own first. */
export function FilePicker({ presence, path, disabled }: { presence: Presence; path: string | null; disabled: boolean }) {
  const open = useSignal(false);
  const box = useRef<HTMLDivElement>(null);
  useEffect(() => {
    if (!open.value) return;
    const away = (event: Event) => {
      if (box.current !== null && !event.composedPath().includes(box.current)) open.value = false;
    };
    document.addEventListener('pointerdown', away);
    return () => document.removeEventListener('pointerdown', away);
  }, [open.value, open]);
  return (
    <div ref={box} class="picker">
      <button
        class="plain file"
        aria-haspopup="dialog"
        aria-expanded={open.value}
        aria-label={`Choose a file${path === null ? '' : `, now ${path}`}`}
        disabled={disabled || presence.state !== 'online'}
        title={path ?? undefined}
        onClick={() => (open.value = !open.value)}
      >
        <bdi>{path ?? 'Choose a file'}</bdi> ▾
      </button>
      {open.value && <FileList presence={presence} path={path} onDone={() => (open.value = false)} />}
    </div>
  );
}

function FileList({ presence, path, onDone }: { presence: Presence; path: string | null; onDone: () => void }) {
  const { page } = useScreen();
  const load = useMemo(() => {
    page.sources.refreshList(presence.process, presence.boot);
    return page.sources.list(presence.process, presence.boot);
  }, [page, presence.process, presence.boot]);
  const wanted = useSignal('');
  const at = useSignal(0);
  const input = useRef<HTMLInputElement>(null);
  useEffect(() => input.current?.focus(), []);
  const now = load.value;
  const words = wanted.value.toLowerCase().split(/\s+/).filter(Boolean);
  const found =
    now.state === 'ready'
      ? now.value.filter((file) => words.every((word) => `${file.path} ${file.module}`.toLowerCase().includes(word)))
      : [];
  const shown = found.slice(0, SHOWN);
  const choose = (file: SourceFile | undefined) => {
    if (file === undefined) return;
    page.places.show(file.path);
    onDone();
  };
  return (
    <div class="filelist" role="dialog" aria-label="Files of the process">
      <input
        ref={input}
        type="search"
        aria-label="Filter files"
        placeholder="Part of a path or module"
        spellcheck={false}
        onInput={(event) => {
          wanted.value = event.currentTarget.value;
          at.value = 0;
        }}
        onKeyDown={(event) => {
          if (event.key === 'Escape') onDone();
          else if (event.key === 'Enter') choose(shown[at.value]);
          else if (event.key === 'ArrowDown') at.value = Math.min(shown.length - 1, at.value + 1);
          else if (event.key === 'ArrowUp') at.value = Math.max(0, at.value - 1);
          else return;
          event.preventDefault();
        }}
      />
      {now.state === 'loading' && <p class="dim">Asking the process…</p>}
      {now.state === 'failed' && <p class="error">{now.message}</p>}
      <div class="scroll" role="listbox" aria-label="Files">
        {shown.map((file, index) => (
          <div
            key={file.path}
            role="option"
            aria-selected={file.path === path}
            class={`${index === at.value ? 'at' : ''} ${file.application ? '' : 'library'}`}
            title={file.path}
            onClick={() => choose(file)}
          >
            <span class="name">{file.module}</span>
            <span class="dim">
              <bdi>{file.path}</bdi>
            </span>
          </div>
        ))}
      </div>
      {found.length > SHOWN && <p class="dim">and {found.length - SHOWN} more; write more of the name</p>}
      {now.state === 'ready' && found.length === 0 && <p class="dim">No file matches.</p>}
    </div>
  );
}
