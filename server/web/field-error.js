// The error message of a field, which disappears once it no longer holds.

export class FieldError {
  #field;
  #output;
  #check = null; // throws while the error holds

  /** `output` is the element that the field names in `aria-describedby`. */
  constructor(field, output) {
    this.#field = field;
    this.#output = output;
    field.addEventListener("input", () => this.update());
  }

  /** Run a function that throws an error if the field's value is invalid. Returns whether it succeeded. */
  require(check) {
    this.#check = check;
    return this.update();
  }

  /** Show the error if it holds, else remove it. Returns whether there is none. */
  update() {
    try {
      this.#check?.();
      this.#check = null;
      this.#show("");
    } catch ({ message }) {
      this.#show(`${message[0].toUpperCase()}${message.slice(1)}.`);
    }
    return this.#check === null;
  }

  #show(text) {
    if (this.#output.textContent !== text) this.#output.textContent = text;
    this.#field.toggleAttribute("aria-invalid", text !== "");
    if (text) this.#field.setAttribute("aria-invalid", "true");
  }
}
