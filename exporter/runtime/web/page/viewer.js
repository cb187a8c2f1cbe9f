/** Shows a mesh or points: they turn by themselves until somebody turns them, by dragging, pinching or arrow keys. */

import * as three from "three";

import { OrbitControls } from "../packages/OrbitControls.js";
import { srgbToLinear } from "../glb.js";

const VIEW_ANGLE = 30;
const AZIMUTH = 0.6;
const ELEVATION = 0.3;
const KEY_TURN = Math.PI / 18;
const KEYS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
const PICTURE = 320;

export class Viewer {
  /** Throws Error where the browser has no WebGL. */
  constructor(canvas) {
    this.webgl = new three.WebGLRenderer({ canvas, antialias: true, alpha: true });
    this.camera = new three.PerspectiveCamera(VIEW_ANGLE, 1, 0.01, 100);
    this.scene = new three.Scene();
    this.scene.add(new three.HemisphereLight(0xffffff, 0x9a9488, 2.2));
    this.lamp = new three.DirectionalLight(0xffffff, 1.8);
    this.scene.add(this.lamp);
    this.controls = new OrbitControls(this.camera, canvas);
    Object.assign(this.controls, { enableDamping: true, enablePan: false, autoRotateSpeed: 2 });
    this.controls.addEventListener("start", () => (this.controls.autoRotate = false));
    this.controls.addEventListener("change", () => this.draw());
    canvas.addEventListener("keydown", (event) => this.turnByKey(event));
    new ResizeObserver(() => this.fit(canvas.clientWidth, canvas.clientHeight)).observe(canvas);
  }

  show(asset, made) {
    const former = this.object;
    this.put(asset, made);
    dispose(former);
    this.controls.autoRotate = !matchMedia("(prefers-reduced-motion: reduce)").matches;
    this.draw();
  }

  /** A small picture of something as a data URL; what is shown stays. */
  pictureOf(asset, made) {
    const { object, camera } = this;
    const { position } = camera.clone();
    const canvas = this.webgl.domElement;
    this.put(asset, made);
    this.webgl.setPixelRatio(1);
    this.setSize(PICTURE, PICTURE);
    this.render();
    const picture = canvas.toDataURL();
    dispose(this.object);
    this.replace(object);
    camera.position.copy(position);
    this.fit(canvas.clientWidth, canvas.clientHeight);
    return picture;
  }

  put(asset, made) {
    const body = asset === "points" ? pointsBody(made) : meshBody(made);
    body.rotation.x = -Math.PI / 2;
    const box = new three.Box3().setFromObject(body);
    const ball = box.getBoundingSphere(new three.Sphere());
    body.position.sub(ball.center);
    const object = new three.Group().add(body, shadow(ball.radius, box.min.y - ball.center.y));
    this.replace(object);
    const away = ball.radius / Math.sin(((VIEW_ANGLE / 2) * Math.PI) / 180) + 0.05 * ball.radius;
    this.camera.position.setFromSphericalCoords(away, Math.PI / 2 - ELEVATION, AZIMUTH);
    Object.assign(this.controls, { minDistance: away / 4, maxDistance: away * 3 });
    this.controls.target.set(0, 0, 0);
  }

  replace(object) {
    if (this.object) this.scene.remove(this.object);
    this.object = object;
    if (object) this.scene.add(object);
  }

  turnByKey(event) {
    const turn = KEYS[event.key];
    if (!turn) return;
    event.preventDefault();
    const at = new three.Spherical().setFromVector3(this.camera.position);
    at.theta += turn[0] * KEY_TURN;
    at.phi += turn[1] * KEY_TURN;
    this.camera.position.setFromSpherical(at.makeSafe());
    this.controls.autoRotate = false;
    this.draw();
  }

  fit(width, height) {
    if (!width || !height) return;
    this.webgl.setPixelRatio(Math.min(2, devicePixelRatio));
    this.setSize(width, height);
    this.render();
  }

  setSize(width, height) {
    this.webgl.setSize(width, height, false);
    // The object fits into the narrower side.
    this.camera.aspect = width / height;
    this.camera.zoom = Math.min(1, width / height);
    this.camera.updateProjectionMatrix();
  }

  /** Draws the next frame, and goes on while it moves. */
  draw() {
    this.frame ??= requestAnimationFrame(() => {
      this.frame = undefined;
      if (this.controls.update() || this.controls.autoRotate) this.draw();
      this.render();
    });
  }

  render() {
    this.camera.lookAt(0, 0, 0);
    this.lamp.position.copy(this.camera.position).add(new three.Vector3(0, this.camera.position.length() / 2, 0));
    this.webgl.render(this.scene, this.camera);
  }
}

/** Frees what an object takes of the graphics processor. */
function dispose(object) {
  object?.traverse(({ geometry, material }) => {
    geometry?.dispose();
    material?.map?.dispose();
    material?.dispose();
  });
}

function geometryOf(positions, colors) {
  const geometry = new three.BufferGeometry();
  geometry.setAttribute("position", new three.BufferAttribute(positions, 3));
  geometry.setAttribute("color", new three.BufferAttribute(colors.map(srgbToLinear), 3));
  return geometry;
}

function meshBody({ vertices, faces, colors }) {
  const geometry = geometryOf(vertices, colors);
  geometry.setIndex(new three.BufferAttribute(faces, 1));
  geometry.computeVertexNormals();
  return new three.Mesh(geometry, new three.MeshStandardMaterial({ vertexColors: true, roughness: 0.85 }));
}

/** Round points, about as large as they have to be to close a surface. */
function pointsBody({ positions, colors }) {
  const size = 3 / Math.sqrt(positions.length / 3);
  const map = drawnTexture((context, edge) => {
    context.arc(edge / 2, edge / 2, edge / 2, 0, 2 * Math.PI);
    context.fillStyle = "#fff";
    context.fill();
  });
  const material = new three.PointsMaterial({ size, map, alphaTest: 0.5, vertexColors: true });
  return new three.Points(geometryOf(positions, colors), material);
}

/** A soft disc on the ground. */
function shadow(radius, height) {
  const map = drawnTexture((context, edge) => {
    const gradient = context.createRadialGradient(edge / 2, edge / 2, 0, edge / 2, edge / 2, edge / 2);
    gradient.addColorStop(0, "rgb(0 0 0 / 0.3)");
    gradient.addColorStop(1, "rgb(0 0 0 / 0)");
    context.fillStyle = gradient;
    context.fillRect(0, 0, edge, edge);
  });
  const material = new three.MeshBasicMaterial({ map, transparent: true, depthWrite: false });
  const disc = new three.Mesh(new three.PlaneGeometry(2.2 * radius, 2.2 * radius), material);
  disc.rotation.x = -Math.PI / 2;
  disc.position.y = height - 0.01 * radius;
  return disc;
}

function drawnTexture(draw, edge = 128) {
  const canvas = new OffscreenCanvas(edge, edge);
  draw(canvas.getContext("2d"), edge);
  return new three.CanvasTexture(canvas);
}
