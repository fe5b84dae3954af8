interface ChoiceProps {
  label: string;
  options: readonly (readonly [string, unknown])[];
  chosen: number;
  onChoose: (index: number) => void;
}

/** One of a few, by its place among them. */
export function Choice({ label, options, chosen, onChoose }: ChoiceProps) {
  return (
    <select aria-label={label} value={chosen} onChange={(event) => onChoose(Number(event.currentTarget.value))}>
      {options.map(([name], index) => (
        <option key={name} value={index} selected={index === chosen}>
          {name}
        </option>
      ))}
    </select>
  );
}
