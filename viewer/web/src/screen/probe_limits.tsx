import type { Signal } from '@preact/signals';
import type { ComponentChildren } from 'preact';
import { showsValues, type Draft, type Field as FieldName } from '../draft';
import { CAPTURE, captureOf, OFTEN, OFTEN_NAMES, usual, type Limit, type LimitName } from '../limits';
import { useScreen } from './context';

interface Props {
  draft: Signal<Draft>;
  wrong: (field: FieldName) => boolean;
}

/** What few need: the name of a probe, how often it may be hit, and how much of values it takes. Folded away; what is
 *  written there is told beside the word, so that nothing holds unseen. */
export function More({ draft, wrong }: Props) {
  const { page } = useScreen();
  const now = draft.value;
  const change = (more: Partial<Draft>) => (draft.value = { ...draft.value, ...more });
  const capture = captureOf(now.kind);
  const reprs = now.reprs && showsValues(now.kind);
  return (
    <>
      <Fold title="Limits" given={[now.name, ...OFTEN_NAMES.map((name) => now.limits[name])]}>
        {OFTEN_NAMES.map((name) => (
          <LimitField key={name} name={name} limit={OFTEN[name]} draft={draft} wrong={wrong} />
        ))}
        <Field label="Name" name="name">
          <input
            id="probe-name"
            value={now.name}
            maxLength={100}
            placeholder="none"
            title="What to call it, in place of its kind and line."
            spellcheck={false}
            onInput={(event) => change({ name: event.currentTarget.value })}
          />
        </Field>
      </Fold>
      {capture.length > 0 && (
        <Fold title="Capture" given={[...capture.map((name) => now.limits[name]), reprs ? 'repr' : '']}>
          {capture.map((name) => (
            <LimitField key={name} name={name} limit={CAPTURE[name]} draft={draft} wrong={wrong} />
          ))}
          {page.may('execute') && (
            <label class="check">
              <input type="checkbox" checked={now.reprs} onChange={(event) => change({ reprs: event.currentTarget.checked })} />
              Show values by the program’s own __repr__: it runs in the program, with whatever side effects it has
            </label>
          )}
        </Fold>
      )}
    </>
  );
}

interface FoldProps {
  title: string;
  given: readonly (string | undefined)[];
  children: ComponentChildren;
}

function Fold({ title, given, children }: FoldProps) {
  const count = given.filter((text) => (text ?? '').trim() !== '').length;
  return (
    <details class="more">
      <summary>
        {title} <span class="dim">{count === 0 ? 'as usual' : `${count} given`}</span>
      </summary>
      <div class="limits">{children}</div>
    </details>
  );
}

function LimitField({ name, limit, draft, wrong }: Props & { name: LimitName; limit: Limit }) {
  const { kind, limits } = draft.value;
  return (
    <Field label={limit.label} name={name}>
      <input
        id={`probe-${name}`}
        inputMode={limit.whole ? 'numeric' : 'decimal'}
        title={limit.about}
        placeholder={usual(limit, kind, limits)}
        value={limits[name] ?? ''}
        aria-invalid={wrong(name)}
        onInput={(event) => {
          draft.value = { ...draft.value, limits: { ...draft.value.limits, [name]: event.currentTarget.value } };
        }}
      />
    </Field>
  );
}

export function Field({ label, name, children }: { label: string; name: string; children: ComponentChildren }) {
  return (
    <div class="field">
      <label for={`probe-${name}`}>{label}</label>
      {children}
    </div>
  );
}
