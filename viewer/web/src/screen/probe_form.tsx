import { useSignal, type Signal } from '@preact/signals';
import { useEffect, useRef } from 'preact/hooks';
import { marked, specOf, TTLS, type Draft, type Field as FieldName, type Marked } from '../draft';
import { usualHits } from '../limits';
import { KINDS, reaches } from '../probes';
import { levels } from '../roster';
import { messageOf } from '../wire';
import { Incomplete } from '../written';
import { useScreen } from './context';
import { Field, More } from './probe_limits';
import { reach } from './probe_words';

type KindName = keyof typeof KINDS;

/** What each kind does, and what it takes. */
const ABOUT: Record<KindName, { readonly what: string; readonly text: string; readonly example: string }> = {
  snapshot: {
    what: 'Takes the stack with its locals.',
    text: 'Expressions too, one a line',
    example: 'order.total',
  },
  log: { what: 'Writes a line here, not in the program.', text: 'Line to log', example: 'total={order.total}' },
  watch: { what: 'Tells whenever a value is another than before.', text: 'Expression', example: 'order.state' },
  counter: { what: 'Counts hits, or adds up an expression.', text: 'Add up instead', example: 'len(order.items)' },
  gauge: { what: 'Keeps the last value, the least and the most.', text: 'Expression', example: 'len(queue)' },
  histogram: { what: 'Keeps percentiles of a value.', text: 'Expression', example: 'order.total' },
  timer: { what: 'Times from here to another line, or to the end of the call.', text: '', example: '' },
  exception: {
    what: 'Takes a snapshot where an exception is raised; with no name, where nobody catches one.',
    text: 'Names of exceptions',
    example: 'ValueError, shop.PaymentError',
  },
};

/** Adds a probe: opened for a line beside the source, or empty from the list. */
export function ProbeForm() {
  const { page } = useScreen();
  const begun = page.probing.draft.value;
  return begun === null ? null : <FormDialog begun={begun} onClose={() => (page.probing.draft.value = null)} />;
}

function FormDialog({ begun, onClose }: { begun: Draft; onClose: () => void }) {
  const dialog = useRef<HTMLDialogElement>(null);
  const draft = useSignal(begun);
  useEffect(() => {
    dialog.current?.showModal();
    dialog.current?.querySelector<HTMLElement>(begun.where === '' ? '#probe-where' : '#probe-text')?.focus();
  }, [begun]);
  return (
    <dialog ref={dialog} class="probeform" aria-label="Add a probe" onClose={onClose}>
      <Form draft={draft} onDone={() => dialog.current?.close()} />
    </dialog>
  );
}

interface Complaint {
  readonly field: FieldName | null;
  readonly message: string;
  readonly marked: Marked | null;
}

function complaintOf(problem: unknown, draft: Draft): Complaint {
  const message = messageOf(problem);
  if (problem instanceof Incomplete) return { field: problem.field as FieldName, message, marked: null };
  const about = marked(message, draft);
  return { field: about?.field ?? null, message: about?.message ?? message, marked: about };
}

function Form({ draft, onDone }: { draft: Signal<Draft>; onDone: () => void }) {
  const { page } = useScreen();
  const complaint = useSignal<Complaint | null>(null);
  const busy = useSignal(false);
  const form = useRef<HTMLFormElement>(null);
  const now = draft.value;
  const change = (more: Partial<Draft>) => (draft.value = { ...draft.value, ...more });
  const about = ABOUT[now.kind];
  const wrong = (field: FieldName) => complaint.value?.field === field;

  const add = async () => {
    busy.value = true;
    complaint.value = null;
    try {
      const { probe } = await page.probing.add(specOf(now));
      onDone();
      page.places.follow(probe.id);
    } catch (problem) {
      complaint.value = complaintOf(problem, now);
      show(form.current?.querySelector<HTMLElement>(`#probe-${complaint.value.field}`));
    } finally {
      busy.value = false;
    }
  };

  return (
    <form
      ref={form}
      onSubmit={(event) => {
        event.preventDefault();
        void add();
      }}
    >
      <h2>Add a probe</h2>
      <fieldset class="kinds">
        <legend>What it does</legend>
        {(Object.keys(KINDS) as KindName[]).map((kind) => (
          <label key={kind} class="chip">
            <input type="radio" name="kind" value={kind} checked={kind === now.kind} onChange={() => change({ kind })} />
            {KINDS[kind]}
          </label>
        ))}
        <p class="dim">{about.what}</p>
      </fieldset>
      <Field label={now.kind === 'exception' ? 'Only in (may be empty)' : 'Where'} name="where">
        <input
          id="probe-where"
          value={now.where}
          placeholder="shop/worker.py:33, or shop.worker:Order.pay exit"
          spellcheck={false}
          aria-invalid={wrong('where')}
          onInput={(event) => change({ where: event.currentTarget.value })}
        />
      </Field>
      {about.text !== '' && (
        <Field label={about.text} name="text">
          <textarea
            id="probe-text"
            rows={now.kind === 'snapshot' ? 2 : 1}
            value={now.text}
            placeholder={about.example}
            spellcheck={false}
            aria-invalid={wrong('text')}
            onInput={(event) => change({ text: event.currentTarget.value })}
            onKeyDown={(event) => {
              if (event.key !== 'Enter' || event.shiftKey || now.kind === 'snapshot' || event.isComposing) return;
              event.preventDefault();
              event.currentTarget.form?.requestSubmit();
            }}
          />
        </Field>
      )}
      {now.kind === 'timer' && (
        <Field label="Until line (else to the end)" name="until">
          <input
            id="probe-until"
            inputMode="numeric"
            value={now.until}
            aria-invalid={wrong('until')}
            onInput={(event) => change({ until: event.currentTarget.value })}
          />
        </Field>
      )}
      <Field label="Only if" name="condition">
        <input
          id="probe-condition"
          value={now.condition}
          placeholder="order.total > 100"
          spellcheck={false}
          aria-invalid={wrong('condition')}
          onInput={(event) => change({ condition: event.currentTarget.value })}
        />
      </Field>
      <Reach draft={draft} />
      <div class="beside">
        <Field label="For" name="ttl">
          <select
            id="probe-ttl"
            value={now.ttl}
            onChange={(event) => change({ ttl: Number(event.currentTarget.value) })}
          >
            {TTLS.map(([ttl, label]) => (
              <option key={ttl} value={ttl} selected={ttl === now.ttl}>
                {label}
              </option>
            ))}
          </select>
        </Field>
        <Field label="Only with labels" name="labels">
          <input
            id="probe-labels"
            placeholder="version=1.4.2"
            spellcheck={false}
            value={now.labels}
            aria-invalid={wrong('labels')}
            onInput={(event) => change({ labels: event.currentTarget.value })}
          />
        </Field>
        <Field label="Canaries" name="canaries">
          <input
            id="probe-canaries"
            inputMode="numeric"
            title="In so many of these processes only"
            placeholder="in all of them"
            value={now.canaries}
            aria-invalid={wrong('canaries')}
            onInput={(event) => change({ canaries: event.currentTarget.value })}
          />
        </Field>
        <Field label="Hits each, at most" name="hits">
          <input
            id="probe-hits"
            inputMode="numeric"
            placeholder={String(usualHits(now.kind) ?? 'no limit')}
            value={now.hits}
            aria-invalid={wrong('hits')}
            onInput={(event) => change({ hits: event.currentTarget.value })}
          />
        </Field>
      </div>
      <More draft={draft} wrong={wrong} />
      {page.may('execute') && (
        <label class="check">
          <input type="checkbox" checked={now.python} onChange={(event) => change({ python: event.currentTarget.checked })} />
          Any Python in expressions: it runs in the program, with whatever side effects it has
        </label>
      )}
      {complaint.value !== null && <Refusal complaint={complaint.value} />}
      <div class="actions">
        <button type="button" onClick={onDone}>
          Cancel
        </button>
        <button type="submit" class="primary" disabled={busy.value || !page.store.live.value}>
          {busy.value ? 'Adding…' : 'Add probe'}
        </button>
      </div>
    </form>
  );
}

/** The field that is wrong, also where it is folded away. */
function show(field: HTMLElement | null | undefined): void {
  const fold = field?.closest('details');
  if (fold) fold.open = true;
  field?.focus();
}

/** Which processes get it. */
function Reach({ draft }: { draft: Signal<Draft> }) {
  const { page } = useScreen();
  const process = page.process.value;
  const { namespace, service } = levels(process ?? '');
  const choices = [...new Set([...(process === null ? [] : [process, `${namespace}/${service}/*`]), '*/*/*'])];
  const online = [...page.store.processes.value.values()].filter(({ state }) => state === 'online');
  const count = (selector: string) => online.filter((each) => reaches(selector, each.process)).length;
  return (
    <fieldset class="reach">
      <legend>In which processes</legend>
      {choices.map((selector) => (
        <label key={selector}>
          <input
            type="radio"
            name="reach"
            value={selector}
            checked={draft.value.selector === selector}
            onChange={() => (draft.value = { ...draft.value, selector })}
          />
          {selector === process ? `this one, ${process}` : `${reach(selector)}, ${count(selector)} now and any later`}
        </label>
      ))}
    </fieldset>
  );
}

/** Why it was refused, with the part that it is about where that can be told. */
function Refusal({ complaint: { message, marked } }: { complaint: Complaint }) {
  return (
    <div class="refusal" role="alert">
      <p class="error">{message}</p>
      {marked !== null && marked.part !== '' && (
        <code>
          {marked.before}
          <mark>{marked.part}</mark>
          {marked.after}
        </code>
      )}
    </div>
  );
}
