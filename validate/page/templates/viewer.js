// Turns the models of the page: drag one, or use the arrow keys; both sides of a pair turn together.
// One WebGL context draws all of them, since a browser grants only a few; without WebGL the pictures stay.
"use strict";
(() => {
  const FIELD_OF_VIEW = 0.7, DISTANCE = 3.2, START = { azimuth: 35, elevation: 25 }, STEP = 10;
  const VERTEX = `#version 300 es
    in vec3 position; in vec3 normal; in vec3 color;
    uniform mat4 view; uniform float zoom;
    out vec3 surface; out vec3 tone;
    void main() {
      vec4 seen = view * vec4(position, 1.0);
      gl_Position = vec4(seen.xy * zoom, (seen.z - float(${DISTANCE})) * 0.5 * seen.z, seen.z);
      surface = normal; tone = color;
    }`;
  const FRAGMENT = `#version 300 es
    precision highp float;
    in vec3 surface; in vec3 tone; out vec4 pixel;
    void main() {
      float lit = max(dot(normalize(surface), normalize(vec3(1.0, -1.5, 2.5))), 0.0);
      pixel = vec4(tone * (0.55 + 0.45 * lit), 1.0);
    }`;

  const screen = document.createElement("canvas");
  const gl = screen.getContext("webgl2", { antialias: true, preserveDrawingBuffer: true });
  if (!gl || !("DecompressionStream" in window)) {
    document.documentElement.classList.add("still");
    return;
  }
  const program = link();
  const place = (name) => gl.getUniformLocation(program, name);
  const view = place("view"), zoom = place("zoom");

  function link() {
    const made = gl.createProgram();
    for (const [kind, source] of [[gl.VERTEX_SHADER, VERTEX], [gl.FRAGMENT_SHADER, FRAGMENT]]) {
      const shader = gl.createShader(kind);
      gl.shaderSource(shader, source);
      gl.compileShader(shader);
      if (!gl.getShaderParameter(shader, gl.COMPILE_STATUS)) throw new Error(gl.getShaderInfoLog(shader));
      gl.attachShader(made, shader);
    }
    gl.linkProgram(made);
    return made;
  }

  async function unpack(figure) {
    const { model, vertices, faces } = figure.dataset, v = +vertices, f = +faces;
    const packed = Uint8Array.from(atob(model), (letter) => letter.charCodeAt(0));
    const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("deflate"));
    const whole = await new Response(stream).arrayBuffer();
    const start = Math.ceil((v * 6) / 4) * 4;
    const positions = Float32Array.from(new Int16Array(whole, 0, v * 3), (value) => value / 32767);
    const corners = new Uint32Array(whole, start, f * 3), colors = new Uint8Array(whole, start + f * 12, v * 3);
    return { count: f * 3, array: upload(positions, normalsOf(positions, corners), colors, corners) };
  }

  function normalsOf(p, corners) {
    const normals = new Float32Array(p.length);
    for (let i = 0; i < corners.length; i += 3) {
      const [a, b, c] = [corners[i] * 3, corners[i + 1] * 3, corners[i + 2] * 3];
      const [ux, uy, uz] = [p[b] - p[a], p[b + 1] - p[a + 1], p[b + 2] - p[a + 2]];
      const [vx, vy, vz] = [p[c] - p[a], p[c + 1] - p[a + 1], p[c + 2] - p[a + 2]];
      const scaled = [uy * vz - uz * vy, uz * vx - ux * vz, ux * vy - uy * vx];
      for (const corner of [a, b, c]) for (let k = 0; k < 3; k++) normals[corner + k] += scaled[k];
    }
    return normals;
  }

  function upload(positions, normals, colors, corners) {
    const array = gl.createVertexArray();
    gl.bindVertexArray(array);
    for (const [name, data, type, normalised] of [
      ["position", positions, gl.FLOAT, false], ["normal", normals, gl.FLOAT, false], ["color", colors, gl.UNSIGNED_BYTE, true],
    ]) {
      const where = gl.getAttribLocation(program, name);
      gl.bindBuffer(gl.ARRAY_BUFFER, gl.createBuffer());
      gl.bufferData(gl.ARRAY_BUFFER, data, gl.STATIC_DRAW);
      gl.enableVertexAttribArray(where);
      gl.vertexAttribPointer(where, 3, type, normalised, 0, 0);
    }
    gl.bindBuffer(gl.ELEMENT_ARRAY_BUFFER, gl.createBuffer());
    gl.bufferData(gl.ELEMENT_ARRAY_BUFFER, corners, gl.STATIC_DRAW);
    return array;
  }

  // The camera of the toolchain's own pictures, z up, as the columns of a 4 x 4 matrix.
  function camera({ azimuth, elevation }) {
    const a = (azimuth * Math.PI) / 180, e = (elevation * Math.PI) / 180;
    const forward = [Math.sin(a) * Math.cos(e), Math.cos(a) * Math.cos(e), -Math.sin(e)];
    const right = [Math.cos(a), -Math.sin(a), 0];
    const up = [Math.sin(a) * Math.sin(e), Math.cos(a) * Math.sin(e), Math.cos(e)];
    return [0, 1, 2].flatMap((k) => [right[k], up[k], forward[k], 0]).concat([0, 0, DISTANCE, 1]);
  }

  async function draw(figure, turn) {
    figure.mesh ??= unpack(figure);
    const { array, count } = await figure.mesh, canvas = figure.querySelector("canvas");
    const side = Math.round(canvas.clientWidth * Math.min(window.devicePixelRatio || 1, 2));
    if (!side) return;
    if (canvas.width !== side) canvas.width = canvas.height = side;
    if (screen.width !== side) screen.width = screen.height = side;
    gl.viewport(0, 0, side, side);
    gl.clearColor(1, 1, 1, 1);
    gl.clear(gl.COLOR_BUFFER_BIT | gl.DEPTH_BUFFER_BIT);
    gl.enable(gl.DEPTH_TEST);
    gl.useProgram(program);
    gl.uniformMatrix4fv(view, false, camera(turn));
    gl.uniform1f(zoom, 1 / Math.tan(FIELD_OF_VIEW / 2));
    gl.bindVertexArray(array);
    gl.drawElements(gl.TRIANGLES, count, gl.UNSIGNED_INT, 0);
    canvas.getContext("2d").drawImage(screen, 0, 0);
    figure.classList.add("turned");
  }

  for (const pair of document.querySelectorAll(".pair")) {
    const turn = { ...START }, models = [...pair.querySelectorAll(".model[data-model]")];
    const by = (across, down) => {
      turn.azimuth += across;
      turn.elevation = Math.max(-85, Math.min(85, turn.elevation + down));
      for (const model of models) draw(model, turn);
    };
    for (const model of models) {
      let held = null;
      model.addEventListener("pointerdown", (event) => {
        held = [event.clientX, event.clientY];
        model.setPointerCapture(event.pointerId);
      });
      model.addEventListener("pointermove", (event) => {
        if (!held) return;
        by((held[0] - event.clientX) * 0.8, (event.clientY - held[1]) * 0.5);
        held = [event.clientX, event.clientY];
      });
      for (const end of ["pointerup", "pointercancel"]) model.addEventListener(end, () => { held = null; });
      model.addEventListener("keydown", (event) => {
        const move = { ArrowLeft: [STEP, 0], ArrowRight: [-STEP, 0], ArrowUp: [0, STEP], ArrowDown: [0, -STEP] }[event.key];
        if (!move) return;
        event.preventDefault();
        by(...move);
      });
    }
  }
})();
